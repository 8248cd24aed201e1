"""A nameserver that knows every name: all of them are at an address that is nobody's, and is seen when it is sent to.

Source: RFC 1035, 4.1 (message format); RFC 5737 (addresses that are nobody's).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

NOWHERE = "198.51.100.1"
_TYPE_A = 1


@contextmanager
def nameserver(address: str, asked: list[str]) -> Iterator[None]:
    """Answer at ``address``, port 53, until the block ends; every name that was asked for goes to ``asked``."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind((address, 53))
        listener.settimeout(0.2)
        stop = threading.Event()
        thread = threading.Thread(target=_answer_all, args=(listener, asked, stop), name="nameserver", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _answer_all(listener: socket.socket, asked: list[str], stop: threading.Event) -> None:
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            query, client = listener.recvfrom(512)
            name, reply = answer(query)
            asked.append(name)
            listener.sendto(reply, client)


def answer(query: bytes) -> tuple[str, bytes]:
    """Return the name that a query is about, and the answer to it."""
    name, at = [], 12
    while length := query[at]:
        name.append(query[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    (kind,) = struct.unpack_from("!H", query, at + 1)
    question = query[12 : at + 5]
    record = struct.pack("!HHHIH", 0xC00C, _TYPE_A, 1, 60, 4) + socket.inet_aton(NOWHERE) if kind == _TYPE_A else b""
    head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, 1 if record else 0, 0, 0)
    return ".".join(name), head + question + record
