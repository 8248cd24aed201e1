"""A fixed set of images: what a repository offers, who refers to whom, and that each manifest is read once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import pytest

from registry_snapshot.errors import BlobUnknown, ManifestInvalid, ManifestUnknown, NameUnknown
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_EMPTY, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, OCTETS
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.store.base import Extent
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.image_set import ImageSet
from tests.unit.registry_snapshot.artifacts import SBOM, SIGNATURE, empty, list_of, make_artifact, put_as
from tests.unit.registry_snapshot.images import AMD64, ARM64, make_image, make_index

ASK = {"client": "10.0.0.2", "method": "GET"}
APP = Repository.of("quay.io", "team/app")


def only(blobs: DiskBlobStore, root: Descriptor, tag: str = "1") -> ImageSet:
    return ImageSet(blobs, [(Reference(APP, tag, None), root)])


@dataclass
class CountedReads:
    """Blobs, with a count of how often each was opened."""

    blobs: DiskBlobStore
    opened: Counter[Digest] = field(default_factory=Counter)

    def size(self, digest: Digest) -> int:
        return self.blobs.size(digest)

    def open(self, digest: Digest) -> Extent:
        self.opened[digest] += 1
        return self.blobs.open(digest)


def test_each_manifest_is_read_once_however_many_names_it_has(blobs: DiskBlobStore) -> None:
    """Ten thousand images must not make a registry slow to start."""
    images = [make_image(blobs, str(number)).descriptor for number in range(3)]
    index = list_of(blobs, [*images, *images])
    counted = CountedReads(blobs)
    names = [Reference(Repository.of("quay.io", f"r{number}"), tag, None) for number in range(5) for tag in ("1", "2")]
    content = ImageSet(counted, [(name, index) for name in names])
    assert counted.opened == Counter(dict.fromkeys([index.digest, *(image.digest for image in images)], 1))
    counted.opened.clear()
    for name in names:
        assert content.resolve(name.repository, "1", **ASK) == index
        assert content.tags(name.repository) == ("1", "2")
        assert content.referrers(name.repository, index.digest, client="") == ()
    assert not counted.opened


def test_a_repository_has_what_its_own_images_reach_and_nothing_else(blobs: DiskBlobStore) -> None:
    mine, other = make_image(blobs, "mine"), make_image(blobs, "other")
    elsewhere = Repository.of("docker.io", "team/app")
    content = ImageSet(blobs, [(Reference(APP, "1", None), mine.descriptor), (Reference(elsewhere, "1", None), other.descriptor)])
    content.blob(APP, mine.layers[0].digest).close()
    with pytest.raises(BlobUnknown):
        content.blob(APP, other.layers[0].digest)
    with pytest.raises(ManifestUnknown):
        content.manifest(APP, other.descriptor.digest, **ASK)
    with pytest.raises(ManifestUnknown):
        content.resolve(APP, "2", **ASK)
    with pytest.raises(NameUnknown):
        content.tags(Repository.of("quay.io", "team/nothing"))
    assert content.registries == {"quay.io", "docker.io"}


def test_a_sparse_index_is_served_byte_for_byte_without_what_is_not_there(blobs: DiskBlobStore) -> None:
    amd, arm = make_image(blobs, "a"), make_image(blobs, "a", ARM64)
    index = make_index(blobs, {AMD64: amd, ARM64: arm})
    raw = blobs.read(index.digest)
    blobs.path(arm.descriptor.digest).unlink()
    content = only(blobs, index)
    assert content.manifest(APP, index.digest, **ASK) == (OCI_INDEX, raw)
    assert content.manifest(APP, amd.descriptor.digest, **ASK)[0] == OCI_MANIFEST
    with pytest.raises(ManifestUnknown):
        content.manifest(APP, arm.descriptor.digest, **ASK)


def test_a_layer_that_stands_elsewhere_too_is_a_blob_like_any_other(blobs: DiskBlobStore) -> None:
    layer = replace(put_as(blobs, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", b"windows"), urls=("https://x/layer",))
    with only(blobs, make_artifact(blobs, [layer])).blob(APP, layer.digest) as extent:
        assert extent.read(extent.size) == b"windows"


def test_indexes_may_nest_deeper_than_anybody_does(blobs: DiskBlobStore) -> None:
    layer = put_as(blobs, OCI_LAYER, b"x")
    root = make_artifact(blobs, [layer])
    for _ in range(100):
        root = list_of(blobs, [root])
    with only(blobs, root).blob(APP, layer.digest) as extent:
        assert extent.size == 1


def test_both_algorithms_stand_side_by_side(blobs: DiskBlobStore) -> None:
    narrow, wide = (put_as(blobs, OCI_LAYER, b"the same", algorithm) for algorithm in ("sha256", "sha512"))
    child = make_artifact(blobs, [narrow, wide], algorithm="sha512")
    root = list_of(blobs, [child], algorithm="sha512")
    content = only(blobs, root)
    assert content.resolve(APP, "1", **ASK).digest.algorithm == "sha512"
    for manifest in (root, child):
        media_type, raw = content.manifest(APP, manifest.digest, **ASK)
        assert (media_type, Digest.of(raw, "sha512")) == (manifest.media_type, manifest.digest)
    for digest in (narrow.digest, wide.digest, empty(blobs, "sha512").digest):
        content.blob(APP, digest).close()
    with pytest.raises(ManifestUnknown):  # the same bytes under a name that nobody gave them
        content.manifest(APP, Digest.of(blobs.read(root.digest)), **ASK)


def test_fields_of_no_specification_stay(blobs: DiskBlobStore) -> None:
    root = make_artifact(blobs, more={"org.example": {"b": [1.50, None], "a": "ä"}})
    _, raw = only(blobs, root).manifest(APP, root.digest, **ASK)
    assert (raw, Digest.of(raw)) == (blobs.read(root.digest), root.digest)
    assert b"org.example" in raw


def test_a_manifest_that_is_also_somebodys_layer_is_no_blob(blobs: DiskBlobStore) -> None:
    """A client that got it from /blobs/ would keep it as application/octet-stream for ever (containerd#7390)."""
    image = make_image(blobs, "a").descriptor
    outer = make_artifact(blobs, [replace(image, media_type=OCTETS)])
    content = ImageSet(blobs, [(Reference(APP, "2", None), outer), (Reference(APP, "1", None), image)])
    assert content.manifest(APP, image.digest, **ASK)[0] == OCI_MANIFEST
    with pytest.raises(BlobUnknown):
        content.blob(APP, image.digest)


def test_what_is_named_a_manifest_and_is_none_is_said_at_the_start(blobs: DiskBlobStore) -> None:
    with pytest.raises(ManifestInvalid):
        only(blobs, put_as(blobs, OCI_MANIFEST, b"{}"))


def test_referrers_are_found_by_their_subject_wherever_they_stand(blobs: DiskBlobStore) -> None:
    subject = make_image(blobs, "a").descriptor
    tagged = make_artifact(blobs, artifact_type=SIGNATURE, subject=subject, annotations={"by": "team"})
    listed = make_artifact(blobs, artifact_type=SBOM, subject=subject)
    index = list_of(blobs, [listed, tagged])
    elsewhere = Repository.of("quay.io", "team/other")
    images = [(Reference(APP, "1", None), subject), (Reference(APP, "sha256-x.sig", None), tagged), (Reference(APP, None, index.digest), index)]
    content = ImageSet(blobs, [*images, (Reference(elsewhere, "1", None), subject)])
    found = {item.digest: item for item in content.referrers(APP, subject.digest, client="")}
    assert {digest: (item.artifact_type, dict(item.annotations), item.size) for digest, item in found.items()} == {
        tagged.digest: (SIGNATURE, {"by": "team"}, tagged.size),
        listed.digest: (SBOM, {}, listed.size),
    }
    assert len(content.referrers(APP, subject.digest, client="")) == 2
    assert content.referrers(elsewhere, subject.digest, client="") == ()
    assert content.referrers(Repository.of("quay.io", "team/nothing"), subject.digest, client="") == ()


def test_a_subject_that_is_not_there_has_referrers_all_the_same(blobs: DiskBlobStore) -> None:
    """They may be pushed first: distribution-spec, "Pushing Manifests with Subject"."""
    subject = Descriptor(OCI_MANIFEST, Digest.of(b"nowhere"), 7)
    signature = make_artifact(blobs, subject=subject)
    (found,) = only(blobs, signature).referrers(APP, subject.digest, client="")
    assert (found.digest, found.artifact_type) == (signature.digest, OCI_EMPTY)
