"""Names and addresses of hosts are fixed, and beds do not share a subnet."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from tests.testbed.addresses import address_of, check_name, host_names, subnets
from tests.testbed.cache import TestBedError

_SUBNET = IPv4Network("10.78.0.0/24")


@pytest.mark.parametrize(
    ("host", "address"),
    [("m1", "10.78.0.11"), ("m3", "10.78.0.13"), ("n1", "10.78.0.21"), ("n12", "10.78.0.32")],
)
def test_a_host_has_the_same_address_every_time(host: str, address: str) -> None:
    assert str(address_of(host, _SUBNET)) == address


def test_no_two_hosts_of_the_largest_bed_share_an_address() -> None:
    names = host_names(9, 200)
    addresses = {address_of(name, _SUBNET) for name in names}
    assert len(addresses) == len(names)
    assert all(address in _SUBNET for address in addresses)


@pytest.mark.parametrize(("masters", "nodes"), [(10, 0), (0, 201), (-1, 0)])
def test_more_hosts_than_addresses_are_refused(masters: int, nodes: int) -> None:
    with pytest.raises(TestBedError, match="up to 9 masters"):
        host_names(masters, nodes)


@pytest.mark.parametrize("name", ["", "Upper", "a b", "-x", "x" * 30, "a/b", "../x"])
def test_a_name_that_docker_would_refuse_is_refused_first(name: str) -> None:
    with pytest.raises(TestBedError, match="cannot name a bed"):
        check_name(name)


def test_other_beds_never_take_the_default_beds_subnet() -> None:
    assert not set(subnets("default", "default")) & set(subnets("ha", "default"))
