"""Sealing: the same input gives the same bytes, a wrong byte stops it, and a failure leaves nothing behind."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.errors import BuildError, DiskFull
from bundler.pack import zip_writer
from bundler.signing.signing import UNSIGNED
from bundler.steps import sums
from installer_stub.bundle.model import ImageLock
from installer_stub.bundle.reader import Bundle
from registry_snapshot.errors import DigestMismatch
from registry_snapshot.oci.digest import Digest
from tests.fakes.traps import TRAPS, Trap
from tests.unit.installer_stub.bundle.sealed import Ingredients, ingredients


@pytest.fixture
def made(tmp_path: Path) -> Ingredients:
    return ingredients(tmp_path)


def test_the_same_input_gives_the_same_bytes(made: Ingredients, tmp_path: Path) -> None:
    again = tmp_path / "elsewhere"
    again.mkdir()
    one, other = made.seal(tmp_path / "one.run"), ingredients(again)
    other.lock = ImageLock(other.lock.images[::-1])
    assert other.seal(again / "two.run", other.digests[::-1]).read_bytes() == one.read_bytes()
    assert one.stat().st_mode & 0o777 == 0o755


def test_progress_adds_up_to_the_whole_file(made: Ingredients, tmp_path: Path) -> None:
    size = made.seal(tmp_path / "x.run").stat().st_size
    assert (made.reporter.bytes, made.reporter.total) == (size, size)


def test_a_blob_that_rotted_stops_the_sealing_and_leaves_nothing(made: Ingredients, tmp_path: Path) -> None:
    target = tmp_path / "out" / "x.run"
    target.parent.mkdir()
    target.write_bytes(b"the one from before")
    large = max(made.digests, key=made.store.size)
    path = made.store.path(large)
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"?")
    with pytest.raises(DigestMismatch, match=large.encoded[:20]):
        made.seal(target)
    assert [item.name for item in target.parent.iterdir()] == ["x.run"]
    assert target.read_bytes() == b"the one from before"


def test_blobs_must_be_what_the_names_lead_to(made: Ingredients, tmp_path: Path) -> None:
    stray = made.store.put(b"nobody asked for this")
    with pytest.raises(BuildError, match=f"{stray} belongs to no image"):
        made.seal(tmp_path / "x.run")
    with pytest.raises(BuildError, match="is needed, but not listed"):
        made.seal(tmp_path / "x.run", [digest for digest in made.digests if digest != stray][1:])
    made.store.path(made.images[0][1].digest).unlink()
    with pytest.raises(BuildError, match="is not whole"):
        made.seal(tmp_path / "x.run", [])
    assert not (tmp_path / "x.run").exists()


def test_an_image_that_the_lock_does_not_name_is_not_sealed(made: Ingredients, tmp_path: Path) -> None:
    made.lock = ImageLock(made.lock.images[1:])
    with pytest.raises(BuildError, match="belongs to no image"):
        made.seal(tmp_path / "shop.run")


def test_an_installer_for_another_machine_is_not_sealed(made: Ingredients, tmp_path: Path) -> None:
    made.info = replace(made.info, platforms=("linux/arm64",))
    with pytest.raises(BuildError, match=r"the installer is a program for x86_64; shop:1\.4\.0 is for linux/arm64"):
        made.seal(tmp_path / "shop.run")


def test_the_sum_of_the_file_comes_with_it(made: Ingredients, tmp_path: Path) -> None:
    beside = sums.Beside(UNSIGNED)
    sealed = made.sealed(tmp_path / "shop.run", ready=beside.ready)
    assert sealed.sha256 == hashlib.sha256(sealed.path.read_bytes()).hexdigest()
    beside.write()
    if shutil.which("sha256sum"):
        done = subprocess.run(["sha256sum", "-c", "--strict", "shop.run.sha256"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "shop.run: OK\n", "")
    with Bundle.open(sealed.path) as bundle:
        assert str(bundle.digest) in (tmp_path / "shop.run.sha256").read_text()


def test_a_disk_without_room_is_named_before_anything_is_written(
    made: Ingredients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(tmp_path)
    monkeypatch.setattr(zip_writer.os, "statvfs", lambda _: os.statvfs_result((*real[:4], 1, *real[5:])))
    with pytest.raises(DiskFull, match=rf"needs \d+ bytes, {tmp_path} has {real.f_frsize} free"):
        made.seal(tmp_path / "x.run")
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "case",
    [(errno.ENOSPC, DiskFull, "became full"), (errno.EFBIG, DiskFull, "FAT32"), (errno.EIO, BuildError, "Input/output")],
)
def test_a_write_that_fails_is_named_and_leaves_nothing(
    made: Ingredients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: tuple[int, type[BuildError], str]
) -> None:
    number, kind, text = case

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(zip_writer.os, "pwrite", fail)
    with pytest.raises(kind) as caught:
        made.seal(tmp_path / "x.run")
    assert text in str(caught.value)
    monkeypatch.undo()
    assert not list(tmp_path.glob("*.run")) + list(tmp_path.glob(".*.part"))


def test_a_disk_that_fails_is_heard_at_the_end(made: Ingredients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel tells an open file of an error once: to the fsync before it has its name, and nothing asks before (``WriteOut``)."""
    (tmp_path / "x.run").write_bytes(b"older")

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(zip_writer.os, "fsync", fail)
    with pytest.raises(BuildError, match="Input/output"):
        made.seal(tmp_path / "x.run")
    monkeypatch.undo()
    assert (tmp_path / "x.run").read_bytes() == b"older"
    assert not list(tmp_path.glob(".*.part"))


def test_what_a_killed_build_left_is_taken_over(made: Ingredients, tmp_path: Path) -> None:
    (tmp_path / ".x.run.part").write_bytes(b"left" * 10_000_00)
    made.seal(tmp_path / "x.run")
    assert not (tmp_path / ".x.run.part").exists()


@pytest.mark.parametrize("trap", TRAPS)
def test_what_somebody_else_laid_there_does_not_become_the_artifact(made: Ingredients, tmp_path: Path, trap: Trap) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    trap(tmp_path / ".x.run.part", victim)
    with pytest.raises(BuildError, match=r"did not make.*\.x\.run\.part"):
        made.seal(tmp_path / "x.run")
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "x.run").exists()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o755), (0o077, 0o700), (0o027, 0o750), (0o002, 0o755), (0, 0o755)])
def test_it_has_the_modes_that_its_maker_gives_new_programs(made: Ingredients, tmp_path: Path, umask: int, mode: int) -> None:
    (tmp_path / ".x.run.part").write_bytes(b"left")  # taken over, with whatever mode it was made
    (tmp_path / ".x.run.part").chmod(0o644)
    before = os.umask(umask)
    try:
        assert made.seal(tmp_path / "x.run").stat().st_mode & 0o7777 == mode
        assert os.umask(umask) == umask
    finally:
        os.umask(before)


def test_an_artifact_that_another_build_has_just_finished_is_not_taken_for_a_left_over(
    made: Ingredients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, finished = tmp_path / ".x.run.part", tmp_path / "finished"
    part.write_bytes(b"another build's")
    real = zip_writer.fcntl.flock

    def meanwhile(fd: int, how: int) -> None:
        if part.exists() and not finished.exists():
            part.rename(finished)
        real(fd, how)

    monkeypatch.setattr(zip_writer.fcntl, "flock", meanwhile)
    made.seal(tmp_path / "x.run")
    assert finished.read_bytes() == b"another build's"


def test_a_missing_directory_is_named(made: Ingredients, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"cannot write .*missing/x\.run"):
        made.seal(tmp_path / "missing" / "x.run")


def test_digests_decide_not_names(made: Ingredients, tmp_path: Path) -> None:
    assert Digest.of(made.seal(tmp_path / "a.run").read_bytes()) == Digest.of(made.seal(tmp_path / "b.run").read_bytes())
