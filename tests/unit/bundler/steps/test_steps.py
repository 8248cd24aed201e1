"""What a build goes on from, and what it is held to: a changed input, a torn file, a pruned blob, a moved tag."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import LockDiffers, UsageError
from bundler.steps import recorded, shelf
from bundler.steps.locked import ALL, check_locked, check_update, pins, read_lock
from bundler.steps.recorded import Recorded, is_whole
from bundler.steps.shelf import Shelf, key_of
from installer_stub.bundle.coverage import Coverage
from installer_stub.bundle.documents import encode_lock
from installer_stub.bundle.model import ImageLock, LockedImage
from installer_stub.bundle.reasons import Listed
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_MANIFEST
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.disk import DiskBlobStore

AMD64 = (Platform.parse("linux/amd64"),)


def locked(name: str, content: bytes) -> LockedImage:
    digest = Digest.of(content)
    return LockedImage(Reference.parse(name), Descriptor(OCI_MANIFEST, digest, len(content)), (digest,), (Listed("images.txt:1"),), 1)


A, B = locked("quay.io/a/a:1", b"a"), locked("quay.io/b/b:1", b"b")
PINNED = locked(f"quay.io/c/c@{Digest.of(b'c')}", b"c")
LOCK = ImageLock((A, B, PINNED))


def test_a_result_is_found_by_all_that_went_in_and_by_nothing_less(tmp_path: Path) -> None:
    inputs: dict[str, Any] = {"cluster": "sha256:1", "commands": [("sh", 600)], "closed": True}
    kept = Shelf(tmp_path, "record")
    assert kept.get(key_of(inputs)) is None
    kept.put(key_of(inputs), b"found")
    assert kept.get(key_of(dict(reversed(inputs.items())))) == b"found"
    for name, value in {"cluster": "sha256:2", "commands": [("sh", 601)], "closed": False, "more": 1}.items():
        assert kept.get(key_of({**inputs, name: value})) is None, name
    assert Shelf(tmp_path, "rehearse").get(key_of(inputs)) is None


def test_no_shelf_grows_without_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "KEPT", 3)
    kept = Shelf(tmp_path, "record")
    for number in range(6):
        kept.put(str(number), b"x")
    assert len(list((tmp_path / "steps/record").iterdir())) == 3
    assert kept.get("5") == b"x"


def test_a_result_is_read_as_it_was_written_and_a_torn_one_is_none() -> None:
    found = Recorded(LOCK, Coverage(unread=("x",)), {A.reference: 5.0}, ("quiet",), 7.5)
    raw = recorded.encode(found)
    assert recorded.decode(raw) == found
    for torn in (b"", raw[: len(raw) // 2], b"{}", b"[]", raw.replace(b"record/2", b"record/1"), b"[" * 100_000):
        assert recorded.decode(torn) is None


def test_a_result_whose_blobs_were_pruned_is_made_again(tmp_path: Path) -> None:
    blobs = DiskBlobStore(tmp_path)
    manifest = b'{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":2},"layers":[]}' % (
        OCI_MANIFEST.encode(), str(Digest.of(b"{}")).encode(),
    )  # fmt: skip
    found = Recorded(ImageLock((locked("quay.io/a/a:1", manifest),)), Coverage(), {})
    assert not is_whole(found, blobs, AMD64)
    blobs.put(manifest)
    assert not is_whole(found, blobs, AMD64), "its config is missing"
    blobs.put(b"{}")
    assert is_whole(found, blobs, AMD64)


def test_tags_mean_what_the_lock_says_but_for_those_that_are_asked_anew() -> None:
    everything = {A.reference: A.descriptor, B.reference: B.descriptor}
    assert pins(LOCK) == everything, "what has a digest needs no pin"
    for name in ("quay.io/a/a:1", "quay.io/a/a"):
        assert pins(LOCK, [name]) == {B.reference: B.descriptor}
    assert pins(LOCK, [ALL]) == pins(None) == {}


def test_an_update_of_what_is_not_there_is_a_slip_of_the_hand() -> None:
    check_update(["quay.io/a/a", ALL, "quay.io/b/b:1"], LOCK)
    check_update([ALL], None)
    for lock in (LOCK, None):
        with pytest.raises(UsageError, match=r"--update quay\.io/a/x"):
            check_update(["quay.io/a/x"], lock)


def test_what_came_went_or_moved_is_shown() -> None:
    check_locked(LOCK, replace(LOCK, images=(PINNED, B, A)))
    moved = replace(A, descriptor=B.descriptor)
    with pytest.raises(LockDiffers) as error:
        check_locked(LOCK, ImageLock((moved, locked("quay.io/n/n:1", b"n"), PINNED)))
    lines = [line.strip()[:2] + line.split()[1] for line in str(error.value).splitlines() if line.startswith("  ") and "what to do" not in line]
    assert lines == ["~ quay.io/a/a:1", "- quay.io/b/b:1", "+ quay.io/n/n:1"]
    assert error.value.exit_code == 8


def test_a_lock_is_read_from_its_document_and_other_files_are_named(tmp_path: Path) -> None:
    (path := tmp_path / "images.lock.json").write_bytes(encode_lock(LOCK))
    assert {image.reference for image in read_lock(path).images} == {image.reference for image in LOCK.images}
    for content in (b"", b"{}", b"\x7fELF and no more"):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"--locked .*lock\.json"):
            read_lock(path)
    with pytest.raises(UsageError, match="No such file"):
        read_lock(tmp_path / "none")
