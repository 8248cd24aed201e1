"""Frames: what operator and agent say to each other over one pair of byte streams.

A stream begins with whatever a login shell says on its own (rc files, banners of sudo). Behind a start marker, a random
line that only this run knows, come frames and nothing else::

    2 bytes  magic "aF"
    4 bytes  length of the header, big endian, 2 … 4 MiB
    4 bytes  length of the payload, big endian, 0 … 1 MiB
    header   a JSON object: "id" a whole number >= 0, "kind" a word, and what belongs to the kind
    payload  bytes

Text of commands stands in headers; their stdin, output and files are payloads. Reading gives a frame, None at the end of
a stream that ends between two frames, or FrameError: nothing is guessed, nothing skipped.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from installer_stub.errors import FrameError

PROTOCOL: Final = 1
MOST_HEADER: Final = 4 << 20
MOST_PAYLOAD: Final = 1 << 20
MOST_NOISE: Final = 1 << 20  # bytes that a login shell may say before the marker
CHUNK: Final = 128 * 1024  # payloads we send: what measured best over paramiko (host/exchange.py)
_MAGIC: Final = b"aF"
_HEAD: Final = struct.Struct(">2sII")

Receive = Callable[[int], bytes]  # some bytes, at most so many; empty at the end. Raises OSError or EOFError when torn off


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. ``id`` joins a question with its answers; ``fields`` are what belongs to the kind."""

    id: int
    kind: str
    fields: dict[str, Any]
    payload: bytes = b""

    def text(self, name: str) -> str:
        """Return a field that has to be text. Raises FrameError."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise FrameError(f"{self.kind}: {name} is no text")
        return value

    def number(self, name: str) -> int:
        """Return a field that has to be a whole number, not negative. Raises FrameError."""
        value = self.fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise FrameError(f"{self.kind}: {name} is no number")
        return value

    def flag(self, name: str) -> bool:
        """Return a field that is true or false; one that is not there is false. Raises FrameError."""
        value = self.fields.get(name, False)
        if not isinstance(value, bool):
            raise FrameError(f"{self.kind}: {name} is neither true nor false")
        return value


def encode(frame: Frame) -> bytes:
    """Return the frame's bytes. Raises FrameError for one that no reader would take."""
    header = json.dumps({**frame.fields, "id": frame.id, "kind": frame.kind}, separators=(",", ":")).encode()
    if len(header) > MOST_HEADER:
        raise FrameError(f"{frame.kind}: a header of {len(header)} bytes; {MOST_HEADER} are allowed")
    if len(frame.payload) > MOST_PAYLOAD:
        raise FrameError(f"{frame.kind}: a payload of {len(frame.payload)} bytes; {MOST_PAYLOAD} are allowed")
    return _HEAD.pack(_MAGIC, len(header), len(frame.payload)) + header + frame.payload


class FrameReader:
    """Frames out of a stream that comes in pieces of any size."""

    def __init__(self, receive: Receive, *, before: bytes = b"") -> None:
        self._receive = receive
        self._buffer = bytearray(before)  # what was read behind the marker already

    def read(self) -> Frame | None:
        """Return the next frame, or None at the stream's end. Raises FrameError; what ``receive`` raises passes through."""
        head = self._exactly(_HEAD.size, at_end=True)
        if head is None:
            return None
        magic, header_size, payload_size = _HEAD.unpack(head)
        if magic != _MAGIC:
            raise FrameError(f"{bytes(head[:40])!r} stands where a frame begins")
        if not 2 <= header_size <= MOST_HEADER:
            raise FrameError(f"a header of {header_size} bytes; 2 to {MOST_HEADER} are allowed")
        if payload_size > MOST_PAYLOAD:
            raise FrameError(f"a payload of {payload_size} bytes; {MOST_PAYLOAD} are allowed")
        header = self._exactly(header_size)
        payload = self._exactly(payload_size)
        return _frame(header or b"", payload or b"")

    def _exactly(self, size: int, *, at_end: bool = False) -> bytes | None:
        while len(self._buffer) < size:
            data = self._receive(max(CHUNK, size - len(self._buffer)))
            if not data:
                if at_end and not self._buffer:
                    return None
                raise FrameError(f"the stream ended inside a frame, {size - len(self._buffer)} bytes early")
            self._buffer += data
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


def _frame(header: bytes, payload: bytes) -> Frame:
    try:
        value = json.loads(header)
    except (ValueError, RecursionError):
        raise FrameError(f"a header that is no JSON: {header[:80]!r}") from None
    if not isinstance(value, dict):
        raise FrameError(f"a header that is no object: {header[:80]!r}")
    number, kind = value.pop("id", None), value.pop("kind", None)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise FrameError(f"a header without a number: {header[:80]!r}")
    if not isinstance(kind, str) or not kind:
        raise FrameError(f"a header without a kind: {header[:80]!r}")
    return Frame(number, kind, value, payload)


def skip_to(marker: bytes, receive: Receive, *, before: bytes = b"", most: int = MOST_NOISE) -> tuple[bytes, bytes]:
    """Read, ``before`` first, until behind ``marker``; return what stood before it and what was read behind it.

    Raises FrameError, with the end of what was said instead, when the stream ends or ``most`` bytes come without it.
    """
    seen = bytearray(before)
    while True:
        place = seen.find(marker)
        if place >= 0:
            return bytes(seen[:place]), bytes(seen[place + len(marker) :])
        data = receive(CHUNK) if len(seen) < most + len(marker) else b""
        if not data:
            said = bytes(seen[-200:]).decode(errors="replace").strip()
            raise FrameError(f"it never began to speak{f'; it said: {said}' if said else ''}")
        seen += data
