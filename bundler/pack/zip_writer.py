"""Write an artifact: a program, then stored ZIP entries, at places that are known before the first byte is written.

So several threads copy at once, each hashing what it copies: an entry that is not its digest stops everything. The file
appears under its name only when it is whole and on the disk; anything else leaves nothing behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bundler.errors import BuildError, DiskFull
from bundler.pack.following import Following
from installer_stub.bundle.zip_format import Entry, Placed, directory, local_header, place
from registry_snapshot.errors import DigestMismatch
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.base import Extent
from registry_snapshot.store.durable import sync_directory
from registry_snapshot.store.ours import is_at, open_ours

PIECE: Final = 1024 * 1024  # bytes a thread copies at a time: it stays in the CPU's cache; 4 MiB take 40 % more CPU time
FLUSHED_AT_ONCE: Final = 32 << 20  # bytes; 580 MB take 0.73 s so, and 0.94 s where only the fsync at the end writes (two cores, ext4)
_LOOK_EVERY: Final = 0.02  # seconds
WORKERS: Final = min(4, max(2, os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class Source:
    """An entry and where its bytes come from: a document in memory, or something to open."""

    entry: Entry
    digest: Digest
    content: bytes | Callable[[], Extent]


def write_archive(target: Path, program: Path, sources: Sequence[Source], moved: Callable[[int, int], None], ready: Callable[[str], None] | None = None) -> str:
    """Write ``program`` and ``sources``, in this order, to ``target``, executable; return the file's SHA-256 in hex.

    ``moved`` hears of bytes written and of the total, from one thread at a time; ``ready`` of the SHA-256, when the file is on the disk and
    has not its name yet: what it raises leaves ``target`` what it was. Raises DiskFull, BuildError,
    DigestMismatch for a source that is not its digest, StoreError. Memory: one piece for each of WORKERS threads.
    """
    start = program.stat().st_size
    placed = place([source.entry for source in sources], start)
    total = placed[-1].end + len(directory(placed, [0] * len(placed)))
    _check_space(target, total)
    try:
        with _PartFile(target, total) as part:
            copier = _Copier(part.fd, total, moved)
            with _Flushing(part.fd, copier) as flushing, Following(part.fd, copier.stopped) as following:
                copier.write(program.read_bytes(), 0)
                crcs = copier.copy_all(tuple(zip(placed, sources, strict=True)), following.written)
                copier.write(directory(placed, crcs), placed[-1].end)
                sha256 = following.end(total)
            flushing.check()
            part.flush()
            if ready is not None:
                ready(sha256)
            part.commit()
    except OSError as error:
        raise _disk_error(error, target, total) from error
    return sha256


class _Copier:
    def __init__(self, fd: int, total: int, moved: Callable[[int, int], None]) -> None:
        self._fd = fd
        self._total = total
        self._moved = moved
        self._lock = threading.Lock()
        self.stopped = threading.Event()
        self.written = 0

    def copy_all(self, items: Sequence[tuple[Placed, Source]], written: Callable[[int], None]) -> list[int]:
        """Copy every entry and return their CRC-32, in order. The first failure stops the others.

        ``written`` hears up to where all is in the file, in its order.
        """
        with ThreadPoolExecutor(WORKERS, "seal") as workers:
            crcs = []
            try:
                running = [workers.submit(self._copy, *item) for item in items]
                for (placed, _), copied in zip(items, running, strict=True):
                    crcs.append(copied.result())
                    written(placed.end)
            except BaseException:
                self.stopped.set()
                workers.shutdown(wait=True, cancel_futures=True)
                raise
        return crcs

    def stop(self) -> None:
        """Copy no more: the file will not be used."""
        self.stopped.set()

    def write(self, data: bytes | memoryview, at: int) -> None:
        """Write all of ``data`` at offset ``at``."""
        view = memoryview(data)
        while view:
            count = os.pwrite(self._fd, view, at)
            view, at = view[count:], at + count
        with self._lock:
            self.written += len(data)
            self._moved(len(data), self._total)

    def _copy(self, placed: Placed, source: Source) -> int:
        try:
            return self._copy_entry(placed, source)
        except BaseException:
            self.stopped.set()  # the others must not copy gigabytes for nothing
            raise

    def _copy_entry(self, placed: Placed, source: Source) -> int:
        hasher = source.digest.hasher()
        if isinstance(source.content, bytes):
            hasher.update(source.content)
            crc, size = zlib.crc32(source.content), len(source.content)
            self.write(source.content, placed.data)
        else:
            with source.content() as extent:
                size = extent.size
                crc = 0
                buffer = memoryview(bytearray(min(PIECE, max(size, 1))))
                done = 0
                while done < min(size, placed.entry.size) and not self.stopped.is_set():
                    count = os.preadv(extent.fd, [buffer[: size - done]], extent.offset + done)
                    if count == 0:
                        break
                    piece = buffer[:count]
                    hasher.update(piece)
                    crc = zlib.crc32(piece, crc)
                    self.write(piece, placed.data + done)
                    done += count
        if self.stopped.is_set():
            return 0
        if size != placed.entry.size or hasher.hexdigest() != source.digest.encoded:
            raise DigestMismatch(
                f"{source.entry.name} should be {placed.entry.size} bytes and {source.digest}, its source holds something else",
                "the cache was altered or its disk is failing: remove that blob from the cache and build again",
            )
        self.write(local_header(placed, crc), placed.header)
        return crc


class _Flushing:
    """Lets the disk write while the rest is still hashed, so that the fsync at the end has little to wait for."""

    def __init__(self, fd: int, copier: _Copier) -> None:
        self._fd = fd
        self._copier = copier
        self._over = threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="flush", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def check(self) -> None:
        """Raise the OSError that the disk gave: to an open file the kernel tells one once, and a later fsync would be silent."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        flushed = 0
        while not self._over.wait(_LOOK_EVERY):
            if (written := self._copier.written) - flushed >= FLUSHED_AT_ONCE:
                try:
                    os.fdatasync(self._fd)
                except OSError as error:
                    self._error = error
                    self._copier.stop()
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
