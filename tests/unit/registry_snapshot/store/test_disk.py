"""A store keeps what was hashed, whole, or nothing."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from registry_snapshot.errors import BlobUnknown, DigestMismatch, StoreError
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.base import ExtentReader
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.registry_snapshot.images import absent_digest, noise


def files(blobs: DiskBlobStore) -> list[Path]:
    return [path for path in blobs.root.rglob("*") if path.is_file()]


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_put_and_read(blobs: DiskBlobStore, size: int) -> None:
    data = noise("x", size)
    digest = blobs.put(data)
    assert digest == Digest.of(data)
    assert (digest in blobs, blobs.size(digest), blobs.read(digest)) == (True, size, data)
    assert blobs.path(digest) == blobs.root / "blobs" / "sha256" / digest.encoded
    with blobs.open(digest) as extent:
        assert (extent.size, extent.read(7, at=5)) == (size, data[5:12])
    with ExtentReader(blobs.open(digest)) as stream:
        assert stream.read() == data


def test_digests_are_those_of_blobs_only(blobs: DiskBlobStore) -> None:
    assert list(blobs.digests()) == []
    expected = sorted(blobs.put(noise(str(number), 10)) for number in range(5))
    (blobs.root / "blobs" / "sha256" / "README").write_text("no blob")
    (blobs.root / "blobs" / "sha256" / ".ingest-0").write_text("torn")
    assert list(blobs.digests()) == expected


def test_what_is_not_there(blobs: DiskBlobStore) -> None:
    for ask in (blobs.size, blobs.open, blobs.read):
        with pytest.raises(BlobUnknown, match=str(absent_digest())):
            ask(absent_digest())


def test_a_blob_is_invisible_until_it_is_whole(blobs: DiskBlobStore) -> None:
    digest = Digest.of(b"ab")
    with blobs.ingest(digest) as writer:
        writer.write(b"a")
        writer.write(bytearray(b"b"))
        assert digest not in blobs
        assert writer.size == 2
        assert writer.commit() == digest
        assert digest in blobs


def test_sha512(blobs: DiskBlobStore) -> None:
    digest = Digest.of(b"abc", "sha512")
    with blobs.ingest(digest) as writer:
        writer.write(b"abc")
        writer.commit()
    assert blobs.read(digest) == b"abc"


def test_a_mismatch_leaves_nothing(blobs: DiskBlobStore) -> None:
    with blobs.ingest(absent_digest()) as writer:
        writer.write(b"wrong")
        with pytest.raises(DigestMismatch, match=str(absent_digest())):
            writer.commit()
    assert files(blobs) == []


def test_leaving_without_commit_leaves_nothing(blobs: DiskBlobStore) -> None:
    with blobs.ingest() as writer:
        writer.write(b"half")
        assert len(files(blobs)) == 1
    assert files(blobs) == []


def test_restart(blobs: DiskBlobStore) -> None:
    with blobs.ingest() as writer:
        writer.write(b"something longer")
        writer.restart()
        writer.write(b"ab")
        assert writer.commit() == Digest.of(b"ab")
    assert blobs.read(Digest.of(b"ab")) == b"ab"


def test_short_writes_are_continued(blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry_snapshot.store.disk._write", lambda fd, data: os.write(fd, data[:3]))
    assert blobs.read(blobs.put(b"0123456789")) == b"0123456789"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, r"no space left for \S+ \(\d+\.\d\d GB free of \d+\.\d\d GB\)"),
        (errno.EDQUOT, "no space left"),
        (errno.EROFS, "may not be written"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_failing_disk_is_named_and_leaves_nothing(blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    def fail(descriptor: int, data: bytes) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("registry_snapshot.store.disk._write", fail)
    with pytest.raises(StoreError, match=words) as caught:
        blobs.put(b"x")
    assert str(blobs.root) in caught.value.problem
    assert caught.value.remedy
    assert files(blobs) == []


def test_a_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        DiskBlobStore(tmp_path / "file").put(b"x")


def test_sweep_removes_what_a_crash_left_and_nothing_that_is_being_written(blobs: DiskBlobStore) -> None:
    blobs.put(b"kept")
    (blobs.root / "blobs" / "sha256" / ".ingest-dead").write_text("torn")
    with blobs.ingest() as writer:
        writer.write(b"alive")
        assert blobs.sweep() == 1
        writer.commit()
    assert sorted(blobs.digests()) == sorted([Digest.of(b"kept"), Digest.of(b"alive")])
    assert len(files(blobs)) == 2


def test_a_blob_that_was_kept_half_is_gone_on_with(blobs: DiskBlobStore) -> None:
    data = noise("x", 3_000_000)
    digest = Digest.of(data)
    with blobs.resume(digest) as writer:
        assert writer.size == 0
        writer.write(data[:2_000_000])
        writer.keep()
    assert digest not in blobs
    with blobs.resume(digest) as writer:
        assert writer.size == 2_000_000
        writer.write(data[2_000_000:])
        assert writer.commit() == digest
    assert blobs.read(digest) == data
    assert files(blobs) == [blobs.path(digest)]


def test_a_half_that_was_altered_is_found_at_the_end_and_not_kept(blobs: DiskBlobStore) -> None:
    data = noise("x", 1000)
    digest = Digest.of(data)
    with blobs.resume(digest) as writer:
        writer.write(b"?" + data[1:500])
        writer.keep()
    with blobs.resume(digest) as writer:
        writer.write(data[500:])
        with pytest.raises(DigestMismatch):
            writer.commit()
    assert files(blobs) == []


def test_two_who_fetch_one_blob_at_once_do_not_write_into_one_file(blobs: DiskBlobStore) -> None:
    data = noise("x", 1000)
    digest = Digest.of(data)
    with blobs.resume(digest) as first, blobs.resume(digest) as second:
        first.write(data[:600])
        second.write(data)
        assert (first.size, second.size) == (600, 1000)
        second.keep()  # it has a file of its own, which nobody would find again
        first.write(data[600:])
        first.commit()
    assert files(blobs) == [blobs.path(digest)]


def test_sweep_leaves_halves_of_this_week(blobs: DiskBlobStore) -> None:
    fresh, old = Digest.of(b"fresh"), Digest.of(b"old")
    for digest in (fresh, old):
        with blobs.resume(digest) as writer:
            writer.write(b"half")
            writer.keep()
    path = next(path for path in files(blobs) if old.encoded in path.name)
    os.utime(path, (0, 0))
    assert blobs.sweep() == 1
    assert [fresh.encoded in path.name for path in files(blobs)] == [True]


def test_an_extent_that_is_closed_twice_closes_nobody_elses_file(blobs: DiskBlobStore) -> None:
    extent = blobs.open(blobs.put(b"x"))
    extent.close()
    other = blobs.open(blobs.put(b"y"))  # takes the number that has become free
    extent.close()
    assert other.read(1) == b"y"
    other.close()


def test_a_sweep_between_making_and_locking_costs_a_name_not_the_blob(blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another build begins with a sweep: the file is there and not locked yet."""
    blobs.put(b"x")
    real, times = fcntl.flock, [3]

    def flock(descriptor: int, how: int) -> None:
        if times[0]:
            times[0] -= 1
            with monkeypatch.context() as inner:
                inner.setattr(fcntl, "flock", real)
                assert DiskBlobStore(blobs.root).sweep() == 1
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert blobs.read(blobs.put(b"hello")) == b"hello"
    assert times == [0]


def test_a_long_read_is_whole_or_ends_where_the_file_does(blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """pread(2) gives at most 2 GiB - 4 KiB at a time."""
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, count, at: real(fd, min(count, 3), at))
    with blobs.open(blobs.put(b"0123456789")) as extent:
        assert (extent.read(10), extent.read(4, 5), extent.read(99, 8)) == (b"0123456789", b"5678", b"89")
