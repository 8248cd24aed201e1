"""A name that others can guess is opened only if what is there is ours."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.ours import is_at, open_lock, open_ours
from tests.fakes.traps import TRAPS, Trap


@pytest.mark.parametrize("trap", TRAPS)
def test_what_is_not_ours_is_refused_and_untouched(tmp_path: Path, trap: Trap) -> None:
    victim, path = tmp_path / "victim", tmp_path / "name"
    victim.write_bytes(b"mine")
    trap(path, victim)
    before = path.lstat()
    with pytest.raises(FileExistsError, match="did not make"):
        open_ours(path, os.O_RDWR)
    assert victim.read_bytes() == b"mine"
    assert path.lstat() == before


def test_ours_is_made_and_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "name"
    before = os.umask(0)
    try:
        descriptor = open_ours(path, os.O_RDWR)
    finally:
        os.umask(before)
    os.write(descriptor, b"half")
    os.close(descriptor)
    assert path.stat().st_mode & 0o777 == 0o600
    descriptor = open_ours(path, os.O_RDWR)
    assert os.read(descriptor, 10) == b"half"
    assert os.get_blocking(descriptor)
    assert is_at(descriptor, path)
    path.rename(tmp_path / "done")
    assert not is_at(descriptor, path)
    path.write_bytes(b"another")
    assert not is_at(descriptor, path)
    os.close(descriptor)


def test_a_directory_that_is_missing_is_said_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_ours(tmp_path / "missing" / "name", os.O_RDWR)


@pytest.mark.parametrize("trap", TRAPS)
def test_a_store_begins_a_file_of_its_own_beside_a_partial_that_is_not_its(tmp_path: Path, trap: Trap) -> None:
    content = b"content of a blob"
    digest = Digest.of(content)
    store, victim = DiskBlobStore(tmp_path), tmp_path / "victim"
    victim.write_bytes(b"mine")
    partial = tmp_path / "blobs" / "sha256" / f".partial-{digest.encoded}"
    partial.parent.mkdir(parents=True)
    trap(partial, victim)
    with store.resume(digest) as writer:
        assert writer.size == 0
        writer.write(content)
        writer.commit()
    assert store.read(digest) == content
    assert victim.read_bytes() == b"mine"
    store.sweep()
    assert victim.read_bytes() == b"mine"


def test_a_lock_is_nobodys_file_in_particular_and_no_link_is_followed(tmp_path: Path) -> None:
    lock, victim = tmp_path / ".lock", tmp_path / "victim"
    victim.write_text("theirs")
    first = open_lock(lock)
    fcntl.flock(first, fcntl.LOCK_EX)
    second = open_lock(lock)
    with pytest.raises(BlockingIOError):
        fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(first)
    fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(second)
    (tmp_path / "link").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        open_lock(tmp_path / "link")
    assert victim.read_text() == "theirs"
