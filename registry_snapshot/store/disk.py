"""DiskBlobStore: the ``blobs/<algorithm>/<hex>`` part of an OCI image layout, on a file system.

A blob is visible under its digest only once it is whole, hashed and on the disk: bytes go to a temporary file in the
directory where they will stay, are hashed on the way, synced, and renamed. A crash leaves at most a temporary file,
which ``sweep`` removes.

Source: OCI image-spec image-layout.md, "Blobs".
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from registry_snapshot.errors import BlobUnknown, DigestInvalid, DigestMismatch, RegistryError, StoreError
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.base import Extent

_TEMPORARY = ".ingest-"


class DiskBlobStore:
    """A BlobReader over ``root``, which is or will become an OCI layout directory. Safe for several threads and processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

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
            descriptor = os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise BlobUnknown(f"there is no blob {digest} in {self.root}") from None
        except OSError as error:
            raise store_error(error, self.path(digest)) from error
        return Extent(descriptor, 0, os.fstat(descriptor).st_size)

    def read(self, digest: Digest) -> bytes:
        """Return a small blob whole: manifests, configs. Raises BlobUnknown, StoreError."""
        with self.open(digest) as extent:
            return extent.read()

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

    def sweep(self) -> int:
        """Remove temporary files that no live process is writing, and return how many there were."""
        removed = 0
        for path in self.root.glob(f"blobs/*/{_TEMPORARY}*"):
            with contextlib.suppress(OSError):
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                    removed += 1
                finally:
                    os.close(descriptor)
        return removed


class BlobWriter:
    """One blob on its way in. Leaving the ``with`` block without ``commit`` leaves nothing behind."""

    def __init__(self, store: DiskBlobStore, expected: Digest | None) -> None:
        self._store = store
        self._expected = expected
        self._algorithm = expected.algorithm if expected else "sha256"
        self._directory = store.root / "blobs" / self._algorithm
        self._path = self._directory / f"{_TEMPORARY}{secrets.token_hex(8)}"
        self._hasher = Digest(self._algorithm, "").hasher()
        self._descriptor = -1
        self.size = 0

    def __enter__(self) -> Self:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # tells sweep() that somebody writes here
        except OSError as error:
            self._discard()
            raise store_error(error, self._path) from error
        return self

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append ``data``. Raises StoreError; the blob is then lost."""
        view = memoryview(data)
        try:
            while view:
                count = _write(self._descriptor, view)
                self._hasher.update(view[:count])
                self.size += count
                view = view[count:]
        except OSError as error:
            raise store_error(error, self._path) from error

    def restart(self) -> None:
        """Forget what was written, to begin again from the first byte. Raises StoreError."""
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        except OSError as error:
            raise store_error(error, self._path) from error
        self._hasher = Digest(self._algorithm, "").hasher()
        self.size = 0

    def commit(self) -> Digest:
        """Make the blob visible and return its digest. Raises DigestMismatch and keeps nothing, StoreError."""
        digest = Digest(self._algorithm, self._hasher.hexdigest())
        if self._expected is not None and digest != self._expected:
            raise DigestMismatch(
                f"{self.size} bytes that should be {self._expected} are {digest}",
                "nothing was kept; fetch them again, and if that repeats look for a proxy or cache that alters content",
            )
        target = self._store.path(digest)
        try:
            os.fsync(self._descriptor)
            self._path.rename(target)
            _sync_directory(self._directory)
        except OSError as error:
            raise store_error(error, target) from error
        self._close()
        return digest

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._discard()

    def _discard(self) -> None:
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            self._close()

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1


def store_error(error: OSError, path: Path) -> RegistryError:
    """Return what to tell a person about a failed write or read at ``path``: which path, how full, what to do."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreError(
            f"no space left for {path} ({_fullness(path)})",
            f"free space on the file system of {path.parent}, or choose a directory on a larger one, and run again: "
            "what is already there is kept",
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return StoreError(f"{path} may not be written: {error.strerror}", "choose a directory that this user can write")
    return StoreError(f"{path}: {error.strerror or error}", "look at the disk under it (dmesg), then run again")


# A seam: tests replace it to fill the disk.
_write = os.write


def _fullness(path: Path) -> str:
    directory = path if path.is_dir() else path.parent
    try:
        usage = shutil.disk_usage(directory)
    except OSError:
        return "its size is unknown"
    return f"{usage.free / 1e9:.2f} GB free of {usage.total / 1e9:.2f} GB"


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
