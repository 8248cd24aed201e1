"""Write an artifact: a program, then stored ZIP entries, at places that are known before the first byte is written.

One thread reads and writes, two hash behind it: an entry that is not its digest stops everything. The file appears under its
name only when it is whole and on the disk; anything else leaves nothing behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from isal.isal_zlib import crc32  # 20 times as fast as zlib's, which took a seventh of sealing's CPU time

from bundler.errors import BuildError, DiskFull
from bundler.pack.hashers import PIECE, Hashers
from installer_stub.bundle.zip_format import Entry, Placed, directory, local_header, place
from registry_snapshot.errors import DigestMismatch
from registry_snapshot.oci.digest import Digest, Hasher
from registry_snapshot.store.base import Extent
from registry_snapshot.store.durable import sync_directory
from registry_snapshot.store.ours import is_at, open_ours

FLUSHED_AT_ONCE: Final = 32 << 20  # bytes; 580 MB take 0.73 s so, and 0.94 s where only the fsync at the end writes (two cores, ext4)
_LOOK_EVERY: Final = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class Source:
    """An entry and where its bytes come from: a document in memory, or something to open."""

    entry: Entry
    digest: Digest
    content: bytes | Callable[[], Extent]


def write_archive(target: Path, program: Path, sources: Sequence[Source], moved: Callable[[int, int], None], ready: Callable[[str], None] | None = None) -> str:
    """Write ``program`` and ``sources``, in this order, to ``target``, executable; return the file's SHA-256 in hex.

    ``moved`` hears of bytes written and of the total; ``ready`` of the SHA-256, when the file is on the disk and has not its name
    yet: what it raises leaves ``target`` what it was. Raises DiskFull, BuildError, DigestMismatch for a source that is not its
    digest, StoreError. Memory: the pieces of ``Hashers``.
    """
    start = program.stat().st_size
    placed = place([source.entry for source in sources], start)
    total = placed[-1].end + len(directory(placed, [0] * len(placed)))
    _check_space(target, total)
    try:
        with _PartFile(target, total) as part:
            with Hashers() as hashers:
                writer = _Writer(part.fd, total, hashers, moved)
                with _Flushing(part.fd, writer) as flushing:
                    writer.write(program.read_bytes())
                    crcs = [writer.write_entry(*item) for item in zip(placed, sources, strict=True)]
                    writer.write(directory(placed, crcs))
                    sha256 = hashers.end()
                flushing.check()
            part.flush()
            if ready is not None:
                ready(sha256)
            part.commit()
    except OSError as error:
        raise _disk_error(error, target, total) from error
    return sha256


class _Writer:
    """Writes the file from its first byte to its last."""

    def __init__(self, fd: int, total: int, hashers: Hashers, moved: Callable[[int, int], None]) -> None:
        self._fd, self._total, self._hashers, self._moved = fd, total, hashers, moved
        self.written = 0
        self.failed: OSError | None = None  # of the disk, found by another thread: the file will not be used

    def write(self, data: bytes) -> None:
        """Write the next bytes: what is no entry."""
        self._hashers.take(data)
        self._append(data)

    def write_entry(self, placed: Placed, source: Source) -> int:
        """Write header and bytes of the next entry; return its CRC-32. What it is not is raised here or by a later call."""
        hasher = source.digest.hasher()
        if isinstance(source.content, bytes):
            crc, size = crc32(source.content), len(source.content)
            self.write(local_header(placed, crc))
            self._hashers.take(source.content, hasher)
            self._append(source.content)
        else:
            with source.content() as extent:
                crc, size = self._copy(placed, source, extent, hasher), extent.size
        self._hashers.then(partial(_require, source, size=size, hasher=hasher))
        return crc

    def _copy(self, placed: Placed, source: Source, extent: Extent, hasher: Hasher) -> int:
        """A header comes before what it is the CRC-32 of, so that is read twice: reading costs a tenth of hashing."""
        _require_size(source, extent.size)
        crc, again = self._crc(extent), 0
        self.write(local_header(placed, crc))
        for buffer, piece in self._pieces(extent):
            again = crc32(piece, again)
            self._hashers.take(piece, hasher, buffer)
            self._append(piece)
        if again != crc:
            raise _mismatch(source)
        return crc

    def _crc(self, extent: Extent) -> int:
        crc, done, buffer = 0, 0, memoryview(bytearray(min(PIECE, max(extent.size, 1))))
        while count := self._read(extent, buffer, done):
            crc, done = crc32(buffer[:count], crc), done + count
        return crc

    def _pieces(self, extent: Extent) -> Iterator[tuple[memoryview, memoryview]]:
        done = 0
        while done < extent.size:
            buffer = self._hashers.buffer()
            if not (count := self._read(extent, buffer, done)):
                return
            yield buffer, buffer[:count]
            done += count

    def _read(self, extent: Extent, buffer: memoryview, done: int) -> int:
        if self.failed is not None:
            raise self.failed
        return os.preadv(extent.fd, [buffer[: extent.size - done]], extent.offset + done) if done < extent.size else 0

    def _append(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self._fd, view, self.written)
            view, self.written = view[count:], self.written + count
        self._moved(len(data), self._total)


def _require_size(source: Source, size: int) -> None:
    if size != source.entry.size:
        raise _mismatch(source)


def _require(source: Source, *, size: int, hasher: Hasher) -> None:
    _require_size(source, size)
    if hasher.hexdigest() != source.digest.encoded:
        raise _mismatch(source)


def _mismatch(source: Source) -> DigestMismatch:
    return DigestMismatch(
        f"{source.entry.name} should be {source.entry.size} bytes and {source.digest}, its source holds something else",
        "the cache was altered or its disk is failing: remove that blob from the cache and build again",
    )


class _Flushing:
    """Lets the disk write while the rest is still hashed, so that the fsync at the end has little to wait for."""

    def __init__(self, fd: int, writer: _Writer) -> None:
        self._fd = fd
        self._writer = writer
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flush", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def check(self) -> None:
        """Raise the OSError that the disk gave: to an open file the kernel tells one once, and a later fsync would be silent."""
        if self._writer.failed is not None:
            raise self._writer.failed

    def _run(self) -> None:
        flushed = 0
        while not self._over.wait(_LOOK_EVERY):
            if (written := self._writer.written) - flushed >= FLUSHED_AT_ONCE:
                try:
                    os.fdatasync(self._fd)
                except OSError as error:
                    self._writer.failed = error
                    return
                flushed = written


class _PartFile:
    """The file on its way: beside the target under a fixed name, so that what a kill left is taken over, not left."""

    def __init__(self, target: Path, total: int) -> None:
        self._target = target
        self._path = target.with_name(f".{target.name}.part")
        self._total = total
        self.fd = -1

    def __enter__(self) -> Self:
        while self.fd < 0:
            fd = open_ours(self._path, os.O_RDWR)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                raise BuildError(f"another build is writing {self._target}", "wait for it, or choose another -o") from None
            if is_at(fd, self._path):
                self.fd = fd
            else:  # the other build has just made it its artifact
                os.close(fd)
        os.ftruncate(self.fd, 0)
        os.ftruncate(self.fd, self._total)
        return self

    def flush(self) -> None:
        """Return when it is on the disk, a program with the modes that this user gives new files."""
        os.fchmod(self.fd, 0o755 & ~_umask())  # nobody else ever alters what becomes root on hosts
        os.fsync(self.fd)

    def commit(self) -> None:
        """Make it the target."""
        self._path.rename(self._target)
        sync_directory(self._target.parent)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._path.unlink(missing_ok=True)
        os.close(self.fd)


def _umask() -> int:
    # It can only be read by setting it; what another thread makes meanwhile is its owner's alone.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _check_space(target: Path, total: int) -> None:
    try:
        found = os.statvfs(target.parent)
    except OSError as error:
        raise BuildError(f"cannot write {target}: {error.strerror}", "choose an existing directory for -o") from None
    if target.is_dir():
        raise BuildError(f"{target} is a directory", "name a file for -o")
    free = found.f_bavail * found.f_frsize + _reusable(target)
    if free < total:
        raise DiskFull(f"{target} needs {total} bytes, {target.parent} has {free} free", "free some space, or choose another -o")


def _reusable(target: Path) -> int:
    try:
        return target.with_name(f".{target.name}.part").lstat().st_blocks * 512
    except OSError:
        return 0


def _disk_error(error: OSError, target: Path, total: int) -> BuildError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFull(f"{target.parent} became full while {target} ({total} bytes) was written", "free some space, or choose another -o")
    if error.errno == errno.EFBIG:
        return DiskFull(
            f"the file system of {target.parent} cannot hold one file of {total} bytes",
            "FAT32 ends at 4 GiB: use exFAT or ext4, or choose another -o",
        )
    where = f" ({error.filename})" if error.filename else ""
    return BuildError(f"cannot write {target}: {error.strerror}{where}", "check the directory and its permissions")
