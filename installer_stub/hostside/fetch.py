"""Bring the cluster files of a host to what the manifest says, touching nothing that is already right.

Every file: stored bytes hashed as they come, content hashed as it is written, a temporary file beside the target,
synced, renamed. So a run that was killed leaves whole files or none, and the next run does the rest.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from installer_stub.bundle.model import FILE_ZSTD, ClusterFile
from installer_stub.errors import BundleError, InstallerError
from installer_stub.hostside.sources import Source
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.store.durable import sync_directory

WORKERS: Final = 4
_ATTEMPTS: Final = 3  # at a file whose bytes arrive wrong; each begins at another registry
_PIECE = 1024 * 1024
_MARGIN = 64 * 1024 * 1024  # bytes that must stay free on the host's disk


class _Wrong(Exception):
    """The bytes are not what the manifest says."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """How many files were changed, and how many bytes of content that were."""

    changed: int
    bytes: int


def outdated(files: Iterable[ClusterFile], into: Path) -> tuple[ClusterFile, ...]:
    """Return the files below ``into`` that are missing or not what they should be: content and mode. Reads only."""
    with ThreadPoolExecutor(WORKERS) as workers:
        candidates = tuple(files)
        right = workers.map(lambda file: _content_is_right(file, into) and _mode_is_right(file, into), candidates)
        return tuple(file for file, fine in zip(candidates, right, strict=True) if not fine)


def fetch(files: Sequence[ClusterFile], into: Path, source: Source) -> Fetched:
    """Make ``into`` hold ``files``. One process at a time works on a directory; a second one waits.

    Raises InstallerError with the file and the reason: no source has it, the disk is full, bytes are wrong everywhere.
    """
    try:
        _make_directory(into)
        with _only_one(into):
            wanted = outdated(files, into)
            _check_space(wanted, into)
            with ThreadPoolExecutor(WORKERS) as workers:
                # Largest first: the last thread to finish decides how long it takes.
                ordered = sorted(wanted, key=lambda file: -file.size)
                sizes = list(workers.map(lambda file: _bring(file, into, source), ordered))
            _sync_directories(wanted, into)
    except OSError as error:
        raise _disk_error(error, into) from error
    return Fetched(len(sizes), sum(sizes))


def _bring(file: ClusterFile, into: Path, source: Source) -> int:
    target = into / file.path
    if _content_is_right(file, into):
        target.chmod(file.mode)
        return 0
    _make_directory(target.parent)
    problem = ""
    for attempt in range(_ATTEMPTS):
        try:
            _write(file, target, source, attempt)
        except _Wrong as error:
            problem = str(error)
            continue
        return file.size
    raise BundleError(
        f"{file.path} could not be fetched whole: {problem}",
        "run verify on the artifact of every master; copy it again where that fails",
    )


def _make_directory(path: Path) -> None:
    """Make it and its missing parents, which others cannot write whatever the umask: they could replace what is in them."""
    for each in (*reversed(path.parents), path):
        with contextlib.suppress(FileExistsError):
            each.mkdir(0o755)


def _write(file: ClusterFile, target: Path, source: Source, attempt: int) -> None:
    part = target.with_name(f".{target.name}.airseal-part")
    part.unlink(missing_ok=True)  # what a killed run left
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb", buffering=0) as stream:
            for piece in _checked(file, source, attempt):
                view = memoryview(piece)
                while view:
                    view = view[stream.write(view) :]
            os.fchmod(fd, file.mode)
            os.fsync(fd)
        part.rename(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _checked(file: ClusterFile, source: Source, attempt: int) -> Iterator[bytes]:
    """Yield the file as it will stand; raise _Wrong, at its end at the latest, if that is not what it should be."""
    hasher, size = file.digest.hasher(), 0
    for piece in _content(file, source, attempt):
        size += len(piece)
        if size > file.size:
            raise _Wrong(f"it is longer than {file.size} bytes")
        hasher.update(piece)
        yield piece
    if size != file.size or hasher.hexdigest() != file.digest.encoded:
        raise _Wrong(f"its content is not {file.digest}")


def _content(file: ClusterFile, source: Source, attempt: int) -> Iterator[bytes]:
    """Yield the file as it will stand, and check the stored blob on the way."""
    stored = _stored(file.blob, source, attempt)
    yield from _unpacked(stored) if file.blob.media_type == FILE_ZSTD else stored


def _stored(blob: Descriptor, source: Source, attempt: int) -> Iterator[bytes]:
    """Yield a blob's bytes, and at their end tell whether they were its."""
    hasher, size = blob.digest.hasher(), 0
    for piece in source.pieces(blob, attempt):
        hasher.update(piece)
        size += len(piece)
        if size > blob.size:
            raise _Wrong(f"its blob is longer than {blob.size} bytes")
        yield piece
    if size != blob.size or hasher.hexdigest() != blob.digest.encoded:
        raise _Wrong(f"its blob is not {blob.digest}")


def _unpacked(stored: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what one frame of zstd unpacks to, a piece at a time: 16 KB may hold gigabytes.

    A window of 128 MiB is the most that we write and the most that zstd takes by default.
    """
    import zstandard

    try:
        with zstandard.ZstdDecompressor().stream_reader(cast("BinaryIO", _Reading(stored))) as stream:
            while piece := stream.read(_PIECE):
                yield piece
    except zstandard.ZstdError as error:
        raise _Wrong(f"its blob is not zstd: {error}") from None
    for _ in stored:  # what stands behind the frame is part of the blob, and counts for its hash
        pass


class _Reading:
    """Pieces as something to read from: one at a time, as they come."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def read(self, size: int = _PIECE, /) -> bytes:
        """Return up to ``size`` bytes, none only at the end."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._left = piece
        data, self._left = self._left[:size], self._left[size:]
        return data


def _content_is_right(file: ClusterFile, into: Path) -> bool:
    target = into / file.path
    try:
        found = target.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size != file.size:
            return False
        with target.open("rb") as stream:
            return hashlib.file_digest(stream, file.digest.algorithm).hexdigest() == file.digest.encoded
    except OSError:
        return False


def _mode_is_right(file: ClusterFile, into: Path) -> bool:
    return stat.S_IMODE((into / file.path).lstat().st_mode) == file.mode


@contextlib.contextmanager
def _only_one(into: Path) -> Iterator[None]:
    fd = os.open(into, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _check_space(files: Sequence[ClusterFile], into: Path) -> None:
    needed = sum(file.size for file in files)
    found = os.statvfs(into)
    free = found.f_bavail * found.f_frsize
    if needed and free < needed + _MARGIN:
        raise InstallerError(f"{into} needs {needed} more bytes, {free} are free", "free some space on this host, then run again")


def _sync_directories(files: Sequence[ClusterFile], into: Path) -> None:
    for directory in sorted({(into / file.path).parent for file in files}):
        sync_directory(directory)


def _disk_error(error: OSError, into: Path) -> InstallerError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return InstallerError(f"the disk under {into} is full", "free some space on this host, then run again")
    where = error.filename or into
    return InstallerError(f"cannot write {where}: {error.strerror}", "see whether its file system is mounted read-only, or it is a directory")
