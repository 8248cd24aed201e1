"""Destinations: which addresses may be connected to. The public ones, and those that a person has named.

Whom to ask comes from outside: an image's name in a pod, a redirect, a token server's URL. Any of them can say
``localhost``, ``169.254.169.254`` (a cloud's metadata, with its machine's keys) or a name that resolves there, and the build
machine would ask for them. So a name is resolved once, every address is judged, and the judged address is the one
connected to: an answer of the name server that changes in between (DNS rebinding) changes nothing.

A proxy resolves names itself; what it lets through is the business of whoever runs it. Addresses are judged before it too.

Source: IANA's special-purpose address registries, as ``ipaddress.is_global`` knows them; RFC 6052 (NAT64), RFC 3056 (6to4).
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass, field
from typing import Final

from registry_snapshot.errors import DestinationRefused
from registry_snapshot.record.proxies import matches

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
# What is_global lets through: 192.0.0.0/24 (Oracle's metadata is .192) in Python before 3.13, and Azure's metadata, a public
# address that only its virtual machines reach.
_NEVER: Final = (ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("168.63.129.16/32"))


@dataclass(frozen=True, slots=True)
class Destinations:
    """``named`` are (host, port) that a person wrote down; ``private`` are names, ``.suffixes``, addresses and networks."""

    named: frozenset[tuple[str, int]] = field(default_factory=frozenset)
    private: tuple[str, ...] = ()

    def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of ``host`` that may be connected to, in the resolver's order.

        Raises DestinationRefused if it has addresses and none may be, socket.gaierror, UnicodeError for what is no name.
        """
        name = host.strip("[]").rstrip(".").lower()
        found = dict.fromkeys(str(entry[4][0]) for entry in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM))
        if self._is_named(name, port):
            return list(found)
        good = [address for address in found if is_public(address) or self._is_private(address, port)]
        if not good:
            raise _refused(host)
        return good

    def check_literal(self, host: str, port: int) -> None:
        """Raise DestinationRefused if ``host`` is an address that may not be connected to; a name is not resolved."""
        name = host.strip("[]").lower()
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return
        if not (is_public(name) or self._is_named(name, port) or self._is_private(name, port)):
            raise _refused(host)

    def _is_named(self, name: str, port: int) -> bool:
        return (name, port) in self.named or self._is_private(name, port)

    def _is_private(self, host: str, port: int) -> bool:
        return any(matches(item, host, port) for item in self.private)


def is_public(text: str) -> bool:
    """Tell whether an address belongs to the internet at large; what an IPv6 address carries inside counts too."""
    address = ipaddress.ip_address(text.partition("%")[0])
    inner = _inner(address)
    if inner is not None:
        return is_public(str(inner))
    return address.is_global and not address.is_multicast and not any(address in network for network in _NEVER)


def _inner(address: Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that packets to ``address`` end at, where there is one."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _refused(host: str) -> DestinationRefused:
    return DestinationRefused(
        f"{host} is at an address that is not of the internet (this machine's, a private or a cloud's own), and nobody has named it",
        f"if it is a registry of yours, write into the file of mirrors: private: [{host.strip('[]')}]; else correct the image's name",
        status=403,
    )
