"""Store: the bytes that things had before, each file named by its sha256. Nothing in it is ever written twice."""

from __future__ import annotations

import contextlib
import hashlib

from installer_stub.changes.disk import Disk
from installer_stub.changes.image import Form, Image
from installer_stub.errors import LedgerDamaged


class Store:
    """A directory that root alone enters: files of others may hold secrets."""

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk = disk
        self._directory = directory

    def keep(self, sha256: str, data: bytes) -> None:
        """Keep ``data``; when this returns it outlives a power cut. Raises OSError."""
        path = f"{self._directory}/{sha256}"
        if self._is_whole(sha256):
            return
        with contextlib.suppress(FileNotFoundError):
            self._disk.unlink(path)  # what a power cut left of it, for it was not synced: no record names it yet
        part = f"{path}.new"
        with contextlib.suppress(FileNotFoundError):
            self._disk.unlink(part)
        self._disk.create(part, data)
        self._disk.sync(part)
        self._disk.rename(part, path)
        self._disk.sync(self._directory)

    def read(self, sha256: str) -> bytes:
        """Return the bytes. Raises LedgerDamaged where they are lost or are not those."""
        path = f"{self._directory}/{sha256}"
        try:
            data = self._disk.at(path).read_bytes()
        except FileNotFoundError:
            raise LedgerDamaged(f"what it was before is lost: there is no {path}", "put it right by hand, then name it with --abandon") from None
        except OSError as error:
            raise LedgerDamaged(f"{path} cannot be read: {error.strerror}", "mend the disk, then run again") from error
        if hashlib.sha256(data).hexdigest() != sha256:
            what = "is empty" if not data else "was altered"
            raise LedgerDamaged(f"what it was before cannot be trusted: {path} {what}", "put it right by hand, then name it with --abandon")
        return data

    def content(self, image: Image) -> bytes:
        """Return the bytes that ``image`` names; none for what is no file."""
        return self.read(image.sha256) if image.form is Form.FILE else b""

    def _is_whole(self, sha256: str) -> bool:
        try:
            self.read(sha256)
        except LedgerDamaged:
            return False
        return True
