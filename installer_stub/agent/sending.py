"""Bytes to an agent: a command's stdin, or a file, never more ahead than there is room for at the other end."""

from __future__ import annotations

import hashlib
from typing import BinaryIO, Protocol

from installer_stub.agent.calls import Call
from installer_stub.agent.frames import CHUNK, Frame
from installer_stub.errors import InstallerError
from installer_stub.host.connection import BytesMoved
from installer_stub.host.model import Host
from registry_snapshot.oci.digest import Hasher


class Sender(Protocol):
    """The part of a Link that sends."""

    def send(self, call: Call, kind: str, payload: bytes = b"", **fields: object) -> None:
        """Send one frame for ``call``."""


class Sending:
    """What goes out for one call."""

    def __init__(self, call: Call, link: Sender, moved: BytesMoved | None = None) -> None:
        self._call = call
        self._link = link
        self._moved = moved

    def all(self, data: bytes, *, stall: float) -> None:
        """Send all of ``data`` and its end; stop quietly when the call has ended. Raises Lost, TooLong."""
        for start in range(0, len(data), CHUNK):
            piece = data[start : start + CHUNK]
            if not self._call.may_send(len(piece), stall=stall):
                return
            self._link.send(self._call, "data", piece)
        self._link.send(self._call, "end")

    def file(self, host: Host, source: BinaryIO, size: int, *, keep: bool, stall: float) -> None:
        """Send ``size`` bytes of ``source`` and their hash. Raises Lost, TooLong, InstallerError for a source that ends early."""
        hasher: Hasher = hashlib.sha256()
        left = size
        if keep:
            have = self._call.told(stall=stall)
            if have is None:
                return
            there, hasher = self._beginning(source, size, have)
            self._link.send(self._call, "go", offset=there)
            left -= there
        while left:
            data = source.read(min(CHUNK, left))
            if not data:
                raise InstallerError(
                    f"{getattr(source, 'name', 'a file')} ended {left} bytes early while it was copied to {host}",
                    "it was changed or cut short meanwhile: run verify, then run again",
                )
            if not self._call.may_send(len(data), stall=stall):
                return
            hasher.update(data)
            self._link.send(self._call, "data", data)
            left -= len(data)
            self._count(len(data))
        self._link.send(self._call, "end", sha256=hasher.hexdigest())

    def _beginning(self, source: BinaryIO, size: int, have: Frame) -> tuple[int, Hasher]:
        """Return how much of what is there is the source's beginning, and the hash until there; ``source`` stands behind it."""
        hasher: Hasher = hashlib.sha256()
        length = left = have.number("size")
        if not 0 < length <= size:
            return 0, hasher
        start = source.tell()
        while left and (data := source.read(min(CHUNK, left))):
            hasher.update(data)
            left -= len(data)
        if left == 0 and hasher.hexdigest() == have.text("sha256"):
            self._count(length)
            return length, hasher
        source.seek(start)
        return 0, hashlib.sha256()

    def _count(self, count: int) -> None:
        if self._moved is not None:
            self._moved(count)
