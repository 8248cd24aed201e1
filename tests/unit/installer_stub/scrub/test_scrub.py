"""A disk forgets: every part of an artifact that did is found, written down, and served by the others instead."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from installer_stub.bundle.content import BundleContent
from installer_stub.bundle.names import BUNDLE, INDEX, PACKAGE
from installer_stub.bundle.reader import Bundle
from installer_stub.cli import main
from installer_stub.errors import BundleError
from installer_stub.hostside.service import sealed_in
from installer_stub.scrub import read_again as reading
from installer_stub.scrub.damage import Damage, known_damage, path_of, stamp_of
from installer_stub.scrub.read_again import read_again
from installer_stub.scrub.scrub import scrub
from registry_snapshot.errors import BlobUnknown, ManifestUnknown
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import MAX_MANIFEST_BYTES
from registry_snapshot.store.base import Extent
from registry_snapshot.store.bounded import read_blob
from registry_snapshot.store.disk import write_file
from tests.unit.installer_stub.bundle.sealed import Ingredients, ingredients

ASK = {"client": "10.0.0.5", "method": "GET"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Ingredients:
    return ingredients(tmp_path_factory.mktemp("made"))


@pytest.fixture
def run_file(made: Ingredients, tmp_path: Path) -> Path:
    (tmp_path / "bundles").mkdir()
    return made.seal(tmp_path / "bundles" / "shop-1.run")


def rot(path: Path, at: int, *, bits: int = 0x40) -> None:
    """Alter a byte without any of what a file system would know of it: times stay."""
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ bits]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def places(path: Path) -> dict[str, tuple[int, int]]:
    """Where each entry's bytes are."""
    with Bundle.open(path) as bundle:
        return {name: (bundle.place_of(name).data, bundle.place_of(name).entry.size) for name in bundle.names()}


@dataclass
class Registry:
    """The site registry as far as a reading knows of it: it notes the records that it begins with, as its unit does."""

    store: Path
    started: Path
    begun: int = 0

    def begin(self) -> None:
        self.begun += 1
        records = [str(path) for path in sorted(self.store.glob("*.damage"))]
        self.started.write_text(subprocess.run(["sha256sum", *records], capture_output=True, text=True, check=True).stdout if records else "")

    def scrub(self) -> dict[Path, Damage | None]:
        return scrub(self.store, restart=self.begin, started=self.started)


@pytest.fixture
def registry(run_file: Path, tmp_path: Path) -> Registry:
    made = Registry(run_file.parent, tmp_path / "started")
    made.begin()
    return made


def test_a_whole_artifact_is_whole(run_file: Path, registry: Registry) -> None:
    assert read_again(run_file) is None
    assert registry.scrub() == {run_file: None}
    assert registry.begun == 1
    assert [path.name for path in run_file.parent.iterdir()] == [run_file.name]


def test_every_entry_is_looked_at_and_no_other_is_blamed(run_file: Path) -> None:
    for name, (at, size) in places(run_file).items():
        for place in {at, at + size // 2, at + size - 1} if size else set():
            rot(run_file, place)
            found = read_again(run_file)
            rot(run_file, place)
            assert found is not None, f"byte {place} of {name}"
            if name == BUNDLE:  # what says what the others are
                assert found.problem
            elif not found.problem:  # a document that is read when the artifact is opened is refused there
                assert found.entries == (name,)
                assert found.count == len(places(run_file))
    assert read_again(run_file) is None


def test_a_part_that_cannot_be_read_is_damaged_and_the_rest_is_read(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk knows of it, and says so: EIO."""
    at, size = places(run_file)[PACKAGE]
    read = Extent.read

    def failing(self: Extent, length: int, place: int = 0) -> bytes:
        if self.offset == at and self.size == size:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(self, length, place)

    monkeypatch.setattr(Extent, "read", failing)
    found = read_again(run_file)
    assert found is not None
    assert found.entries == (PACKAGE,)
    assert str(found) == f"1 of its {found.count} parts are not what was copied there, or cannot be read"


def test_what_the_kernel_has_in_memory_is_let_go_of_first(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[int, int]] = []
    monkeypatch.setattr(reading.os, "posix_fadvise", lambda _fd, at, size, _what: said.append((at, size)))
    assert read_again(run_file) is None
    assert set(places(run_file).values()) <= set(said)


def test_it_takes_its_time(run_file: Path) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    total = sum(size for _, size in places(run_file).values())
    read_again(run_file, pace=total // 10, clock=lambda: now[0], sleep=sleep)
    assert now[0] == pytest.approx(10.0, rel=0.2)


def blob_of(made: Ingredients, path: Path, kind: str) -> Digest:
    """The first image's manifest, or a layer of it."""
    descriptor = made.images[0][1]
    if kind == "manifest":
        return descriptor.digest
    with Bundle.open(path) as bundle:
        sizes = {digest: bundle.blobs.size(digest) for digest in bundle.blobs.digests()}
        text = read_blob(bundle.blobs, descriptor.digest, MAX_MANIFEST_BYTES).decode()
    return max((digest for digest in sizes if digest.encoded in text), key=sizes.__getitem__)


@pytest.mark.parametrize("kind", ["manifest", "layer"])
def test_it_is_not_served_any_more_and_all_the_rest_is(made: Ingredients, run_file: Path, registry: Registry, kind: str) -> None:
    damaged = blob_of(made, run_file, kind)
    name = f"blobs/{damaged.algorithm}/{damaged.encoded}"
    rot(run_file, places(run_file)[name][0])
    found = registry.scrub()[run_file]
    assert found is not None
    assert found.digests == {damaged}
    assert registry.begun == 2
    assert path_of(run_file).exists()
    content = BundleContent(sealed_in(run_file.parent))
    reference, descriptor = made.images[0]
    if kind == "manifest":
        with pytest.raises(ManifestUnknown):
            content.manifest(reference.repository, damaged, **ASK)
    else:
        assert content.manifest(reference.repository, descriptor.digest, **ASK)
        with pytest.raises(BlobUnknown):
            content.blob(reference.repository, damaged)
    other, its = made.images[1]
    assert Digest.of(content.manifest(other.repository, its.digest, **ASK)[1]) == its.digest
    assert registry.scrub()[run_file] is not None
    assert registry.begun == 2, "it is known already"
    rot(run_file, places(run_file)[name][0])
    assert registry.scrub() == {run_file: None}
    assert registry.begun == 3
    assert not path_of(run_file).exists()


def test_a_restart_that_was_lost_is_made_up_for(made: Ingredients, run_file: Path, registry: Registry) -> None:
    damaged = blob_of(made, run_file, "layer")
    rot(run_file, places(run_file)[f"blobs/{damaged.algorithm}/{damaged.encoded}"][0])
    scrub(run_file.parent, restart=lambda: None, started=registry.started)  # killed before it came to that
    assert registry.begun == 1
    registry.scrub()
    assert registry.begun == 2


@pytest.mark.parametrize("document", [BUNDLE, INDEX])
def test_a_registry_that_could_not_begin_again_is_left_alone(run_file: Path, registry: Registry, document: str) -> None:
    """It has in memory what is torn on the disk."""
    rot(run_file, places(run_file)[document][0])
    assert registry.scrub()[run_file] is not None
    assert registry.begun == 1
    with pytest.raises(BundleError, match="no artifact that can be served"):
        sealed_in(run_file.parent)


def test_a_torn_list_of_images_does_not_take_other_artifacts_down(made: Ingredients, run_file: Path) -> None:
    made.seal(run_file.with_name("older.run"))
    rot(run_file, places(run_file)[INDEX][0])
    (served,) = sealed_in(run_file.parent)
    assert len(served.roots) == len(made.images) + 1


def test_one_artifacts_trouble_does_not_keep_the_others_from_being_told(made: Ingredients, run_file: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    other = made.seal(run_file.with_name("zzz.run"))
    damaged = blob_of(made, run_file, "layer")
    for file in (run_file, other):
        rot(file, places(file)[f"blobs/{damaged.algorithm}/{damaged.encoded}"][0])

    def failing(path: Path, data: bytes) -> None:
        if path.name.startswith("zzz"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        write_file(path, data)

    monkeypatch.setattr("installer_stub.scrub.scrub.write_file", failing)
    with pytest.raises(BundleError, match=r"zzz\.run: .*Read-only"):
        registry.scrub()
    assert path_of(run_file).exists()
    assert registry.begun == 2


def test_what_was_read_while_a_new_file_came_is_not_said_of_that(made: Ingredients, run_file: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def reading(artifact: Path, *, pace: int) -> Damage:
        del pace
        damage = Damage(stamp_of(artifact.stat()), 9, (PACKAGE,))
        made.seal(artifact.with_name("new")).rename(artifact)
        return damage

    monkeypatch.setattr("installer_stub.scrub.scrub.read_again", reading)
    registry.scrub()
    assert not path_of(run_file).exists()


def test_a_manifest_that_cannot_be_read_is_unknown_now_and_at_the_beginning(made: Ingredients, run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EIO, under one small manifest."""
    reference, descriptor = made.images[0]
    at = places(run_file)[f"blobs/{descriptor.digest.algorithm}/{descriptor.digest.encoded}"][0]
    read = Extent.read
    before = BundleContent(sealed_in(run_file.parent))

    def failing(self: Extent, length: int, place: int = 0) -> bytes:
        if self.offset == at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(self, length, place)

    monkeypatch.setattr(Extent, "read", failing)
    other, its = made.images[1]
    for content in (before, BundleContent(sealed_in(run_file.parent))):
        with pytest.raises(ManifestUnknown):
            content.manifest(reference.repository, descriptor.digest, **ASK)
        assert content.manifest(other.repository, its.digest, **ASK)


def test_a_manifest_that_rots_while_it_is_served_is_not_served_any_more(made: Ingredients, run_file: Path) -> None:
    reference, descriptor = made.images[0]
    content = BundleContent(sealed_in(run_file.parent))
    rot(run_file, places(run_file)[f"blobs/{descriptor.digest.algorithm}/{descriptor.digest.encoded}"][0] + 3)
    with pytest.raises(ManifestUnknown, match="not in the bundle"):
        content.manifest(reference.repository, descriptor.digest, **ASK)


def test_a_manifest_that_nobody_has_looked_at_yet_does_not_take_the_registry_down(made: Ingredients, run_file: Path) -> None:
    reference, descriptor = made.images[0]
    name = f"blobs/{descriptor.digest.algorithm}/{descriptor.digest.encoded}"
    for at, size in (places(run_file)[name],):
        for place in (at, at + size // 2):
            rot(run_file, place)
            content = BundleContent(sealed_in(run_file.parent))
            with pytest.raises(ManifestUnknown):
                content.manifest(reference.repository, descriptor.digest, **ASK)
            other, its = made.images[1]
            assert content.manifest(other.repository, its.digest, **ASK)
            rot(run_file, place)


def test_a_whole_copy_in_another_artifact_is_served_instead(made: Ingredients, run_file: Path, registry: Registry) -> None:
    damaged = blob_of(made, run_file, "layer")
    made.seal(run_file.with_name("older.run"))
    rot(run_file, places(run_file)[f"blobs/{damaged.algorithm}/{damaged.encoded}"][0])
    registry.scrub()
    with BundleContent(sealed_in(run_file.parent)).blob(made.images[0][0].repository, damaged) as extent:
        assert Digest.of(extent.read(extent.size)) == damaged


def known(path: Path, change: Callable[[Path], None]) -> Damage | None:
    change(path)
    return known_damage(path)


def test_a_new_file_in_its_place_is_another_one(made: Ingredients, run_file: Path, registry: Registry) -> None:
    damage = Damage(stamp_of(run_file.stat()), 9, (PACKAGE,))
    path_of(run_file).write_bytes(damage.encode())
    assert known(run_file, lambda path: path.chmod(0o640)) == damage
    assert known(run_file, lambda path: made.seal(path.with_name("new")).rename(path)) is None
    registry.scrub()
    assert not path_of(run_file).exists()
    path_of(run_file.with_name("gone.run")).write_bytes(damage.encode())
    registry.scrub()
    assert [path.name for path in run_file.parent.iterdir()] == [run_file.name]


def flipped() -> list[bytes]:
    """A record with one bit of each of some places turned: it lies on the disk that it tells of."""
    whole = Damage("1 2.000000000 3", 9, ("blobs/sha256/" + "a" * 64, PACKAGE)).encode()
    return [whole[:at] + bytes([whole[at] ^ 0x02]) + whole[at + 1 :] for at in range(3, len(whole) - 3, 7)]


TORN = [b"", b"{", b"[]", b"7", b'"x"', b"{}", b'{"format": "airseal.damage/2"}', b'{"format": "airseal.damage/1", "stamp": "7"}', b'{"sha256": 1e999}']


@pytest.mark.parametrize("torn", [*TORN, *flipped()])
def test_a_torn_record_is_a_valueerror_and_nothing_else(torn: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Damage.decode(torn)


@pytest.mark.parametrize("torn", [b"", b"{", flipped()[5]])
def test_a_torn_record_is_written_anew(run_file: Path, registry: Registry, torn: bytes) -> None:
    path_of(run_file).write_bytes(torn)
    assert sealed_in(run_file.parent), "it is served: what is whole in it is whole"
    assert registry.scrub() == {run_file: None}
    assert not path_of(run_file).exists()
    rot(run_file, places(run_file)[PACKAGE][0])
    path_of(run_file).write_bytes(torn)
    registry.scrub()
    assert known_damage(run_file) is not None


def test_one_that_is_no_artifact_any_more_is_told_and_its_neighbour_read(run_file: Path, registry: Registry) -> None:
    torn = run_file.with_name("torn.run")
    torn.write_bytes(run_file.read_bytes()[:-7])
    found = registry.scrub()
    assert found[run_file] is None
    damage = found[torn]
    assert damage is not None
    assert "torn.run" in damage.problem
    assert damage.digests == frozenset()


def test_the_verb_says_it_and_its_exit_code_too(run_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("installer_stub.scrub.scrub.restart_registry", lambda: None)
    assert main(["host", "scrub", "--store", str(run_file.parent)]) == 0
    assert '"whole": true' in capsys.readouterr().out
    rot(run_file, places(run_file)[PACKAGE][0])
    assert main(["host", "scrub", "--store", str(run_file.parent)]) == 4
    assert PACKAGE in capsys.readouterr().out
