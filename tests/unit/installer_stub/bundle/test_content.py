"""Several artifacts as one registry: names are kept apart, the first wins a tag, digests of all stay reachable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from installer_stub.bundle.content import BundleContent
from installer_stub.bundle.reader import Bundle
from registry_snapshot.errors import BlobUnknown, ManifestUnknown, NameUnknown
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.installer_stub.bundle.sealed import ingredients
from tests.unit.registry_snapshot.artifacts import make_artifact
from tests.unit.registry_snapshot.images import make_image

ASK = {"client": "10.0.0.5", "method": "GET"}


def test_two_artifacts_are_served_together(tmp_path: Path) -> None:
    old = ingredients(tmp_path, version="1", images={"docker.io/library/web:latest": 10, "docker.io/library/db:1": 5})
    new = ingredients(tmp_path, version="2", images={"docker.io/library/web:latest": 20})
    bundles = [Bundle.open(new.seal(tmp_path / "new.run")), Bundle.open(old.seal(tmp_path / "old.run"))]
    content = BundleContent(bundles)
    web, db = Repository.of("docker.io", "web"), Repository.of("docker.io", "db")

    assert content.resolve(web, "latest", **ASK) == new.images[0][1]
    old_web = old.images[0][1]
    media_type, raw = content.manifest(web, old_web.digest, **ASK)
    assert (media_type, Digest.of(raw)) == (old_web.media_type, old_web.digest)
    assert content.resolve(db, "1", **ASK) == old.images[1][1]

    files = Repository.of("airseal.internal", "cluster/shop")
    assert content.tags(files) == ("1", "2")
    assert content.resolve(files, "1", **ASK).digest == old.info.cluster.digest
    with content.blob(files, old.files[0].blob.digest) as extent:
        assert extent.size == old.files[0].blob.size
    for bundle in bundles:
        bundle.close()


def test_what_was_not_sealed_is_unknown(run_file: Path) -> None:
    with Bundle.open(run_file) as bundle:
        content = BundleContent([bundle])
        busybox = Reference.parse("busybox:1.36").repository
        elsewhere = Repository.of("quay.io", "library/busybox")
        with pytest.raises(ManifestUnknown, match=r"docker\.io/library/busybox:9"):
            content.resolve(busybox, "9", **ASK)
        with pytest.raises(NameUnknown, match=r"quay\.io/library/busybox is not in the bundle"):
            content.resolve(elsewhere, "1.36", **ASK)
        with pytest.raises(NameUnknown):
            content.manifest(elsewhere, bundle.images()[0][1].digest, **ASK)
        with pytest.raises(ManifestUnknown):
            content.manifest(busybox, Digest.of(b"never"), **ASK)
        with pytest.raises(BlobUnknown):
            content.blob(busybox, Digest.of(b"never"))
        with pytest.raises(NameUnknown):
            content.tags(elsewhere)


@dataclass(frozen=True)
class Part:
    """Some images over some blobs."""

    blobs: DiskBlobStore
    roots: tuple[tuple[Reference, Descriptor], ...]


def test_what_refers_to_an_image_may_be_in_another_artifact(tmp_path: Path) -> None:
    blobs = DiskBlobStore(tmp_path)
    image = make_image(blobs, "a").descriptor
    both, second = (make_artifact(blobs, subject=image, annotations={"n": name}) for name in ("both", "second"))
    name, signature, extra = (Reference.parse(f"quay.io/team/app:{tag}") for tag in ("1", "1.sig", "extra"))
    content = BundleContent([Part(blobs, ((name, image), (signature, both))), Part(blobs, ((signature, both), (extra, second)))])
    found = content.referrers(name.repository, image.digest, client="10.0.0.5")
    assert [item.digest for item in found] == [both.digest, second.digest]
    assert content.referrers(Repository.of("quay.io", "team/none"), image.digest, client="10.0.0.5") == ()
    assert content.tags(name.repository) == ("1", "1.sig", "extra")
    assert content.registries == {"quay.io"}
