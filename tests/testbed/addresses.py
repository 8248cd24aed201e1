"""Which subnet a bed has and which address a host: fixed for the default bed, the next free one for the others."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network

from tests.testbed.cache import TestBedError

MAX_MASTERS, MAX_NODES = 9, 200
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")


def check_name(name: str) -> None:
    """Raise TestBedError unless ``name`` can be part of a container's name."""
    if not _NAME.fullmatch(name):
        raise TestBedError(f"{name!r} cannot name a bed; use up to 20 lower-case letters, digits and hyphens")


def host_names(masters: int, nodes: int) -> list[str]:
    """Return m1 m2 … n1 n2 …; raise TestBedError when there is no address for so many."""
    if not 0 <= masters <= MAX_MASTERS or not 0 <= nodes <= MAX_NODES:
        raise TestBedError(
            f"a bed has up to {MAX_MASTERS} masters and {MAX_NODES} nodes, not {masters} and {nodes}"
        )
    return [f"m{number}" for number in range(1, masters + 1)] + [
        f"n{number}" for number in range(1, nodes + 1)
    ]


def address_of(host: str, subnet: IPv4Network) -> IPv4Address:
    """Return a host's address in its bed's subnet: m1 is .11, n1 is .21."""
    base = 10 if host.startswith("m") else 20
    return subnet.network_address + base + int(host[1:])


def subnets(bed: str, default_bed: str) -> list[IPv4Network]:
    """Return the subnets a bed may have, in the order to try them."""
    if bed == default_bed:
        return [IPv4Network("10.78.0.0/24")]
    return [IPv4Network(f"10.78.{number}.0/24") for number in range(1, 200)]
