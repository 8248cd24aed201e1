"""DiskBlobStore: the ``blobs/<algorithm>/<hex>`` part of an OCI image layout, on a file system.

A blob is visible under its digest only once it is whole, hashed and on the disk: bytes go to a temporary file in the
directory where they will stay, are hashed on the way, synced, and renamed. A crash leaves at most a temporary file,
which ``sweep`` removes, or a partial one under the name of its digest, which ``resume`` hashes again and goes on with.

Source: OCI image-spec image-layout.md, "Blobs".
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from registry_snapshot.errors import BlobUnknown, DigestInvalid, DigestMismatch, StoreError
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import MAX_MANIFEST_BYTES
from registry_snapshot.store.base import Extent
from registry_snapshot.store.bounded import read_blob
from registry_snapshot.store.durable import make_directory, sync_directory
from registry_snapshot.store.faults import store_error
from registry_snapshot.store.ours import is_at, open_ours

_TEMPORARY = ".ingest-"
_PARTIAL = ".partial-"
_PARTIAL_SECONDS = 7 * 24 * 3600  # then nobody goes on with it: the image has changed, or the build was given up
_PIECE = 1024 * 1024
_TRIES = 8  # at a temporary file of our own


class DiskBlobStore:
    """A BlobReader over ``root``, which is or will become an OCI layout directory. Safe for several threads and processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._made: set[Path] = set()

    def make_directory(self, path: Path) -> None:
        """Make a directory of the store; its name and those above it are then on the disk. Raises OSError."""
        if path not in self._made or not path.is_dir():
            make_directory(path, root=self.root)
            self._made.add(path)

    def path(self, digest: Digest) -> Path:
        """Return where the blob stands, or would stand."""
        return self.root / "blobs" / digest.algorithm / digest.encoded

    def __contains__(self, digest: Digest) -> bool:
        return self.path(digest).is_file()

    def size(self, digest: Digest) -> int:
        """Return the blob's size in bytes. Raises BlobUnknown, StoreError."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            raise BlobUnknown(f"there is no blob {digest} in {self.root}") from None
        except OSError as error:
            raise store_error(error, self.path(digest)) from error

    def open(self, digest: Digest) -> Extent:
        """Return the blob, open. Raises BlobUnknown, StoreError."""
        try:
            # A layout may come out of a foreign archive: a link in it leads to files of ours, a pipe would hold up the server.
            descriptor = os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            raise BlobUnknown(f"there is no blob {digest} in {self.root}") from None
        except OSError as error:
            raise store_error(error, self.path(digest)) from error
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise StoreError(f"{self.path(digest)} is no regular file", "remove it: blobs are files")
        return Extent(descriptor, 0, found.st_size)

    def read(self, digest: Digest, limit: int = MAX_MANIFEST_BYTES) -> bytes:
        """Return a small blob whole: a manifest, unless ``limit`` lets more in. Raises BlobUnknown, StoreError, ManifestInvalid."""
        return read_blob(self, digest, limit)

    def digests(self) -> Iterator[Digest]:
        """Yield every blob's digest, in sorted order. Files that are no blobs are passed over."""
        directory = self.root / "blobs"
        for algorithm in sorted(path.name for path in directory.iterdir()) if directory.is_dir() else ():
            for path in sorted((directory / algorithm).iterdir()):
                with contextlib.suppress(DigestInvalid):
                    yield Digest.parse(f"{algorithm}:{path.name}")

    def put(self, data: bytes) -> Digest:
        """Keep ``data`` and return its sha256 digest. Raises StoreError."""
        digest = Digest.of(data)
        if digest in self:
            return digest
        with self.ingest(digest) as writer:
            writer.write(data)
            return writer.commit()

    def ingest(self, expected: Digest | None = None) -> BlobWriter:
        """Return a writer for one new blob, to be used with ``with``. Raises StoreError."""
        return BlobWriter(self, expected)

    def resume(self, expected: Digest) -> BlobWriter:
        """Return a writer that goes on with what an earlier one of ``expected`` has kept, or left when it was killed.

        Inside ``with`` its ``size`` tells how much that is; those bytes were hashed again, not believed.
        """
        return BlobWriter(self, expected, resume=True)

    def sweep(self) -> int:
        """Remove temporary files that no live process is writing, and return how many there were.

        Partial blobs that were written to in the last week stay, for ``resume``.
        """
        removed = 0
        old = [path for path in self.root.glob(f"blobs/*/{_PARTIAL}*") if _is_older(path, _PARTIAL_SECONDS)]
        for path in (*self.root.glob(f"blobs/*/{_TEMPORARY}*"), *old):
            with contextlib.suppress(OSError):
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                    removed += 1
                finally:
                    os.close(descriptor)
        return removed


class BlobWriter:
    """One blob on its way in. Leaving the ``with`` block without ``commit`` leaves nothing behind, unless ``keep`` was called.

    ``size`` is how many bytes it has. ``fd`` is the open file, for those who read what is there already.
    """

    def __init__(self, store: DiskBlobStore, expected: Digest | None, *, resume: bool = False) -> None:
        self._store = store
        self._expected = expected
        self._algorithm = expected.algorithm if expected else "sha256"
        self._directory = store.root / "blobs" / self._algorithm
        self._partial = (self._directory / f"{_PARTIAL}{expected.encoded}",) if resume and expected else ()
        self._path = self._directory
        self._hasher = Digest(self._algorithm, "").hasher()
        self._kept = False
        self.fd = -1
        self.size = 0

    def __enter__(self) -> Self:
        try:
            self._store.make_directory(self._directory)
            # A partial file that another process is writing is that process's; then this one begins a file of its own. That
            # may be swept by another build between its making and its locking; it has a new name each time.
            for path in (*self._partial, *(self._own_name() for _ in range(_TRIES))):
                self._path, self.fd = path, _open_locked(path)
                if self.fd >= 0:
                    break
            else:
                raise FileExistsError(errno.EEXIST, "no temporary file stays there", str(self._path))
            self._take_over()
        except OSError as error:
            self._discard()
            raise store_error(error, self._path) from error
        return self

    def _own_name(self) -> Path:
        return self._directory / f"{_TEMPORARY}{secrets.token_hex(8)}"

    def _take_over(self) -> None:
        """Hash what the file has already."""
        buffer = bytearray(_PIECE)
        while count := os.readv(self.fd, [buffer]):
            self._hasher.update(memoryview(buffer)[:count])
            self.size += count

    def keep(self) -> None:
        """Leave what was written to ``resume``, if there is no ``commit``. A writer that does not resume leaves nothing."""
        self._kept = self._path.name.startswith(_PARTIAL) and self.size > 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append ``data``. Raises StoreError; the blob is then lost."""
        view = memoryview(data)
        try:
            while view:
                count = _write(self.fd, view)
                self._hasher.update(view[:count])
                self.size += count
                view = view[count:]
        except OSError as error:
            raise store_error(error, self._path) from error

    def restart(self) -> None:
        """Forget what was written, to begin again from the first byte. Raises StoreError."""
        try:
            os.ftruncate(self.fd, 0)
            os.lseek(self.fd, 0, os.SEEK_SET)
        except OSError as error:
            raise store_error(error, self._path) from error
        self._hasher = Digest(self._algorithm, "").hasher()
        self.size = 0

    def verify(self) -> Digest:
        """Return the digest of what was written. Raises DigestMismatch if it is another one than expected."""
        digest = Digest(self._algorithm, self._hasher.hexdigest())
        if self._expected is not None and digest != self._expected:
            raise DigestMismatch(
                f"{self.size} bytes that should be {self._expected} are {digest}",
                "nothing was kept; fetch them again, and if that repeats look for a proxy or cache that alters content",
            )
        return digest

    def commit(self) -> Digest:
        """Make the blob visible and return its digest. Raises DigestMismatch and keeps nothing, StoreError."""
        digest = self.verify()
        target = self._store.path(digest)
        try:
            os.fsync(self.fd)
            self._path.rename(target)
            sync_directory(self._directory)
        except OSError as error:
            raise store_error(error, target) from error
        self._close()
        return digest

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._discard()

    def _discard(self) -> None:
        if self.fd >= 0:
            if not self._kept:
                self._path.unlink(missing_ok=True)
            self._close()

    def _close(self) -> None:
        # Whoever still reads the file as it grew has the lock too, and would keep it from the next writer.
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        os.close(self.fd)
        self.fd = -1


def _open_locked(path: Path) -> int:
    """Return the file at ``path``, made if it is not there; -1 if somebody else made or writes it, or has just committed it.

    The lock tells ``sweep`` that somebody writes here.
    """
    try:
        descriptor = open_ours(path, os.O_RDWR, 0o644)
    except FileExistsError:
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_at(descriptor, path):
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return -1


def _is_older(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime > seconds
    except FileNotFoundError:
        return False


def write_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace the file at ``path``: after a crash it is the old one or the new one, whole. Raises StoreError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            view = memoryview(data)
            while view:
                view = view[_write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise store_error(error, path) from error


# A seam: tests replace it to fill the disk.
_write = os.write
