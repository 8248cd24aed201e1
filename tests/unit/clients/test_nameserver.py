"""The nameserver knows every name, and says which were asked for."""

from __future__ import annotations

import socket
import struct

from tests.clients.nameserver import NOWHERE, answer


def query(name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 1) + labels + b"\0" + struct.pack("!HH", kind, 1) + b"EDNS"


def test_every_name_has_the_address_that_is_nobodys() -> None:
    name, reply = answer(query("registry-1.docker.io", 1))
    assert name == "registry-1.docker.io"
    assert struct.unpack_from("!HHHHHH", reply) == (7, 0x8180, 1, 1, 0, 0)
    assert reply.endswith(socket.inet_aton(NOWHERE))


def test_no_name_has_an_ipv6_address() -> None:
    name, reply = answer(query("docker.io", 28))
    assert (name, struct.unpack_from("!HHHHHH", reply)[3]) == ("docker.io", 0)
