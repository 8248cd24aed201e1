"""A closure is everything for the wanted platforms, once, in the same order every time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registry_snapshot.errors import BlobUnknown, ManifestInvalid
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.media_types import (
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    OCI_NONDISTRIBUTABLE,
)
from registry_snapshot.store.closure import closure, platforms_of
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.registry_snapshot.artifacts import empty, list_of, make_artifact, put_as, put_manifest
from tests.unit.registry_snapshot.images import (
    AMD64,
    ARM64,
    Image,
    absent_digest,
    make_image,
    make_index,
    put,
    put_json,
)

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


def test_a_subject_is_not_a_part(blobs: DiskBlobStore) -> None:
    """Who pulls a signature does not need the image; it need not even be there."""
    signature = make_artifact(blobs, subject=Descriptor(OCI_MANIFEST, absent_digest(), 7))
    assert same(closure(blobs, signature, (AMD64,)), [signature, empty(blobs)])


def test_both_algorithms_and_blobs_of_no_bytes(blobs: DiskBlobStore) -> None:
    wide, nothing = put_as(blobs, OCI_LAYER, b"wide", "sha512"), put_as(blobs, OCI_LAYER, b"", "sha512")
    image = make_artifact(blobs, [wide, nothing], algorithm="sha512")
    root = list_of(blobs, [image], algorithm="sha512")
    assert same(closure(blobs, root, (AMD64,)), [root, image, empty(blobs, "sha512"), wide, nothing])


def test_a_layer_that_stands_elsewhere_too_belongs_to_it(blobs: DiskBlobStore) -> None:
    foreign = replace(put_as(blobs, OCI_NONDISTRIBUTABLE, b"windows"), urls=("https://example.com/layer",))
    image = make_artifact(blobs, [foreign])
    assert same(closure(blobs, image, (AMD64,)), [image, empty(blobs), foreign])
    blobs.path(foreign.digest).unlink()
    with pytest.raises(BlobUnknown, match=str(foreign.digest)):
        closure(blobs, image, (AMD64,))


def test_an_artifact_may_have_no_layers_and_an_index_no_manifests(blobs: DiskBlobStore) -> None:
    image, index = make_artifact(blobs), list_of(blobs, [])
    assert same(closure(blobs, image, (AMD64,)), [image, empty(blobs)])
    assert same(closure(blobs, index, (AMD64,)), [index])
    assert platforms_of(blobs, index, (AMD64,)) == ()


def test_content_that_a_descriptor_carries_is_a_blob_too(blobs: DiskBlobStore) -> None:
    """A client may ignore ``data``: descriptor.md."""
    config = {**empty(blobs).to_json(), "data": "e30="}
    image = put_manifest(blobs, {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}, OCI_MANIFEST)
    assert same(closure(blobs, image, (AMD64,)), [image, empty(blobs)])


def test_an_image_of_an_index_of_an_index(blobs: DiskBlobStore) -> None:
    amd, arm = make_image(blobs, "a"), make_image(blobs, "a", ARM64)
    inner = make_index(blobs, {AMD64: amd, ARM64: arm})
    outer = list_of(blobs, [inner])
    assert same(closure(blobs, outer, (AMD64,)), [outer, inner, *parts(amd)])


def test_indexes_that_list_each_other_many_times_are_read_once(blobs: DiskBlobStore) -> None:
    """Ten times in each of eight indexes would be a hundred million visits, made of a few kilobytes by anybody."""
    image = make_image(blobs, "a")
    root, indexes = image.descriptor, []
    for _ in range(7):
        root = list_of(blobs, [root] * 10)
        indexes.insert(0, root)
    assert same(closure(blobs, root, (AMD64,)), [*indexes, *parts(image)])


@pytest.mark.parametrize("config", [{}, {"os": "linux"}, {"architecture": "amd64"}, {"os": "", "architecture": "amd64"}, None])
def test_a_config_that_does_not_say_its_platform_has_none(blobs: DiskBlobStore, config: object) -> None:
    """Of one without a name a lock file could not be read back."""
    root = make_artifact(blobs, config=put_json(blobs, OCI_CONFIG, config))
    assert platforms_of(blobs, root, (AMD64,)) == ()
