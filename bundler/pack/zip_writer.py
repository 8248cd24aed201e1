"""Write an artifact: a program, then stored ZIP entries, at places that are known before the first byte is written.

One thread reads and writes, two hash behind it, one reads ahead: an entry that is not its digest stops everything. The file appears under its
name only when it is whole and on the disk; anything else leaves nothing behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from isal.isal_zlib import crc32

from bundler.errors import BuildError, DiskFull
from bundler.pack.crc_ahead import crcs
from bundler.pack.hashers import Hashers
from installer_stub.bundle.zip_format import Entry, Placed, directory, local_header, place
from registry_snapshot.errors import DigestMismatch
from registry_snapshot.oci.digest import Digest, Hasher
from registry_snapshot.record.write_out import WriteOut
from registry_snapshot.store.base import Extent
from registry_snapshot.store.durable import sync_directory
from registry_snapshot.store.ours import is_at, open_ours


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
                with closing(crcs([source.content for source in sources])) as ahead:
                    writer.write(program.read_bytes())
                    written = [writer.write_entry(*item) for item in zip(placed, sources, ahead, strict=True)]
                    writer.write(directory(placed, written))
                    sha256 = hashers.end()
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
        self._write_out = WriteOut(fd)
        self._written = 0

    def write(self, data: bytes) -> None:
        """Write the next bytes: what is no entry."""
        self._hashers.take(data)
        self._append(data)

    def write_entry(self, placed: Placed, source: Source, crc: int) -> int:
        """Write header and bytes of the next entry; return ``crc``, its CRC-32. What it is not is raised here or by a later call."""
        hasher = source.digest.hasher()
        if isinstance(source.content, bytes):
            _require(source, source.entry.size == len(source.content))
            self.write(local_header(placed, crc))
            self._hashers.take(source.content, hasher)
            self._append(source.content)
        else:
            with source.content() as extent:
                _require(source, source.entry.size == extent.size)
                self.write(local_header(placed, crc))
                _require(source, self._copy(extent, hasher) == crc)
        self._hashers.then(lambda: _require(source, hasher.hexdigest() == source.digest.encoded))
        return crc

    def _copy(self, extent: Extent, hasher: Hasher) -> int:
        """Write all of it and return its CRC-32, that of less where the file under it ends before."""
        crc = done = 0
        while done < extent.size:
            buffer = self._hashers.buffer()  # comes back by ``take``: one that is asked for has to be taken
            if not (count := os.preadv(extent.fd, [buffer[: extent.size - done]], extent.offset + done)):
                break
            piece = buffer[:count]
            crc, done = crc32(piece, crc), done + count
            self._hashers.take(piece, hasher, buffer)
            self._append(piece)
        return crc

    def _append(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self._fd, view, self._written)
            view, self._written = view[count:], self._written + count
        self._write_out.wrote(self._written)
        self._moved(len(data), self._total)


def _require(source: Source, holds: bool) -> None:  # noqa: FBT001 - what has to hold is said at each place
    if not holds:
        raise DigestMismatch(
            f"{source.entry.name} should be {source.entry.size} bytes and {source.digest}, its source holds something else",
            "the cache was altered or its disk is failing: remove that blob from the cache and build again",
        )


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
