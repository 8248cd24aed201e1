"""A closure is everything for the wanted platforms, once, in the same order every time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registry_snapshot.errors import BlobUnknown, ManifestInvalid
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.media_types import OCI_EMPTY, OCI_INDEX, OCI_MANIFEST
from registry_snapshot.store.closure import closure, platforms_of
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.registry_snapshot.images import AMD64, ARM64, Image, make_image, make_index, put, put_json

ARM_V7 = Platform("linux", "arm", "v7")


def parts(image: Image) -> list[Descriptor]:
    return [image.descriptor, image.config, *image.layers]


def same(found: tuple[Descriptor, ...], wanted: list[Descriptor]) -> bool:
    return [part.digest for part in found] == [part.digest for part in wanted]


@pytest.mark.parametrize("docker", [False, True])
def test_an_image(blobs: DiskBlobStore, docker: bool) -> None:  # noqa: FBT001
    image = make_image(blobs, "a", docker=docker)
    assert same(closure(blobs, image.descriptor, (AMD64,)), parts(image))
    assert platforms_of(blobs, image.descriptor, (AMD64,)) == (AMD64,)


@pytest.mark.parametrize("with_type", [True, False])
def test_an_index_in_its_own_order(blobs: DiskBlobStore, with_type: bool) -> None:  # noqa: FBT001
    arm, amd, v7 = (make_image(blobs, "a", platform) for platform in (ARM64, AMD64, ARM_V7))
    index = make_index(blobs, {ARM64: arm, ARM_V7: v7, AMD64: amd}, with_type=with_type)
    assert same(closure(blobs, index, (AMD64,)), [index, *parts(amd)])
    assert same(closure(blobs, index, (AMD64, ARM64)), [index, *parts(arm), *_without_empty(parts(amd))])
    assert same(closure(blobs, index, (Platform("linux", "arm"),)), [index, *parts(v7)])
    assert platforms_of(blobs, index, (AMD64, ARM64)) == (AMD64, ARM64)


def _without_empty(found: list[Descriptor]) -> list[Descriptor]:
    """The layer of 0 bytes is the same in every image, and counts once."""
    return [part for part in found if part.size]


def test_a_sparse_index_is_complete_without_what_nobody_wants(blobs: DiskBlobStore) -> None:
    amd, arm = make_image(blobs, "a"), make_image(blobs, "a", ARM64)
    index = make_index(blobs, {AMD64: amd, ARM64: arm})
    blobs.path(arm.descriptor.digest).unlink()
    assert same(closure(blobs, index, (AMD64,)), [index, *parts(amd)])
    with pytest.raises(BlobUnknown, match=str(arm.descriptor.digest)):
        closure(blobs, index, (AMD64, ARM64))


@pytest.mark.parametrize("missing", ["descriptor", "config", "layer"])
def test_something_is_missing(blobs: DiskBlobStore, missing: str) -> None:
    image = make_image(blobs, "a")
    gone = {"descriptor": image.descriptor, "config": image.config, "layer": image.layers[0]}[missing]
    blobs.path(gone.digest).unlink()
    with pytest.raises(BlobUnknown, match=str(gone.digest)):
        closure(blobs, image.descriptor, (AMD64,))


def test_a_size_that_is_not_what_the_manifest_says(blobs: DiskBlobStore) -> None:
    image = make_image(blobs, "a")
    with pytest.raises(ManifestInvalid, match="listed with"):
        closure(blobs, replace(image.descriptor, size=1), (AMD64,))


def test_no_platform_of_ours(blobs: DiskBlobStore) -> None:
    index = make_index(blobs, {ARM64: make_image(blobs, "a", ARM64), ARM_V7: make_image(blobs, "a", ARM_V7)})
    with pytest.raises(ManifestInvalid, match="nothing for linux/amd64; it offers linux/arm/v7, linux/arm64"):
        closure(blobs, index, (AMD64,))


def test_attestations_stay_out(blobs: DiskBlobStore) -> None:
    amd = make_image(blobs, "a")
    index = make_index(blobs, {AMD64: amd, Platform("unknown", "unknown"): make_image(blobs, "attestation")})
    assert same(closure(blobs, index, (AMD64,)), [index, *parts(amd)])


def test_an_artifact_has_a_closure_and_no_platform(blobs: DiskBlobStore) -> None:
    config, layer = put(blobs, OCI_EMPTY, b"{}"), put(blobs, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"chart")
    value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.to_json(), "layers": [layer.to_json()]}
    root = put_json(blobs, OCI_MANIFEST, value)
    assert same(closure(blobs, root, (AMD64,)), [root, config, layer])
    assert platforms_of(blobs, root, (AMD64,)) == ()


def test_nesting_has_an_end(blobs: DiskBlobStore) -> None:
    child = make_image(blobs, "a").descriptor
    for _ in range(9):
        child = put_json(blobs, OCI_INDEX, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child.to_json()]})
    with pytest.raises(ManifestInvalid, match="nested"):
        closure(blobs, child, (AMD64,))
