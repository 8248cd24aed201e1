"""The few words of rtnetlink(7) that one route needs: not every host has an ``ip`` program.

Numbers are of linux/rtnetlink.h, linux/if_addr.h and linux/netlink.h, and the same on every architecture.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_TIMEOUT: Final = 10.0  # seconds; the kernel answers at once or something is very wrong
_RECEIVE: Final = 1 << 17
_ERROR, _DONE = 2, 3  # NLMSG_…
_REQUEST, _ACK, _DUMP, _REPLACE, _CREATE = 0x1, 0x4, 0x300, 0x100, 0x400  # NLM_F_…
_DELETE_LINK, _GET_ADDRESS, _NEW_ROUTE, _DELETE_ROUTE, _GET_ROUTE = 17, 22, 24, 25, 26  # RTM_…
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_DESTINATION, _INTERFACE, _SOURCE, _TABLE = 1, 4, 7, 15  # RTA_…
_MAIN, _BOOT, _LINK_SCOPE, _UNICAST = 254, 3, 253, 1  # RT_TABLE_MAIN, RTPROT_BOOT (as ip does), RT_SCOPE_LINK, RTN_UNICAST
_HEADER: Final = struct.Struct("=IHHII")
_ROUTE: Final = struct.Struct("=BBBBBBBBI")
_ADDRESS: Final = struct.Struct("=BBBBI")
_LINK: Final = struct.Struct("=BxHiII")  # ifinfomsg


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the main table that leaves by one interface. ``source`` None: the kernel chooses."""

    network: Network
    interface: int
    source: Address | None


def interface_of(address: Address) -> int | None:
    """Return the index of the interface that has ``address``, or None. Raises OSError."""
    request = _ADDRESS.pack(_family(address), 0, 0, 0, 0)
    for body in _ask(_GET_ADDRESS, _DUMP, request):
        attributes = _attributes(body[_ADDRESS.size :])
        # On a point-to-point link IFA_ADDRESS is the other end's.
        own = attributes.get(_IFA_LOCAL, attributes.get(_IFA_ADDRESS))
        if own == address.packed:
            return int(_ADDRESS.unpack_from(body)[4])
    return None


def routes_to(network: Network) -> tuple[Route, ...]:
    """Return the routes to exactly ``network``. Raises OSError."""
    request = _ROUTE.pack(_family(network.network_address), 0, 0, 0, 0, 0, 0, 0, 0)
    return tuple(route for body in _ask(_GET_ROUTE, _DUMP, request) if (route := _route(body)) is not None and route.network == network)


def set_route(route: Route) -> None:
    """Add the route, or replace the one to the same network. Raises OSError with the kernel's reason."""
    list(_ask(_NEW_ROUTE, _ACK | _CREATE | _REPLACE, _described(route)))


def delete_route(route: Route) -> None:
    """Delete the route; one that is not there is fine. Raises OSError."""
    try:
        list(_ask(_DELETE_ROUTE, _ACK, _described(route)))
    except ProcessLookupError:  # ESRCH is how the kernel says that there is no such route
        return


def delete_link(name: str) -> None:
    """Delete a network interface; one that is not there is fine. Raises OSError with the kernel's reason."""
    for index, found in socket.if_nameindex():
        if found == name:
            list(_ask(_DELETE_LINK, _ACK, _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0)))


def _described(route: Route) -> bytes:
    head = _ROUTE.pack(_family(route.network.network_address), route.network.prefixlen, 0, 0, _MAIN, _BOOT, _LINK_SCOPE, _UNICAST, 0)
    body = head + _attribute(_DESTINATION, route.network.network_address.packed) + _attribute(_INTERFACE, struct.pack("=I", route.interface))
    return body + (_attribute(_SOURCE, route.source.packed) if route.source is not None else b"")


def _route(body: bytes) -> Route | None:
    _, length, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(body)
    attributes = _attributes(body[_ROUTE.size :])
    if _TABLE in attributes:
        (table,) = struct.unpack("=I", attributes[_TABLE])
    if table != _MAIN or kind != _UNICAST or _DESTINATION not in attributes or _INTERFACE not in attributes:
        return None
    source = attributes.get(_SOURCE)
    network = ip_network((ip_address(attributes[_DESTINATION]), length), strict=False)
    return Route(network, struct.unpack("=I", attributes[_INTERFACE])[0], ip_address(source) if source else None)


def _ask(kind: int, flags: int, request: bytes) -> Iterator[bytes]:
    """Send one request and return the bodies of what comes back, until the kernel says that this was all."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(_TIMEOUT)
        sock.bind((0, 0))
        sock.send(_HEADER.pack(_HEADER.size + len(request), kind, flags | _REQUEST, 1, 0) + request)
        while True:
            for answer, body in _messages(sock.recv(_RECEIVE)):
                if answer == _DONE:
                    return
                if answer == _ERROR:
                    (number,) = struct.unpack_from("=i", body)
                    if number == 0:
                        return
                    raise OSError(-number, os.strerror(-number))
                yield body


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        if length < _HEADER.size:
            return
        yield kind, data[_HEADER.size : length]
        data = data[_aligned(length) :]


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[4:length]  # the upper bits say how the value is laid out
        data = data[_aligned(length) :]
    return found


def _attribute(kind: int, value: bytes) -> bytes:
    data = struct.pack("=HH", 4 + len(value), kind) + value
    return data + bytes(_aligned(len(data)) - len(data))


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
