"""A build's network has none of the addresses that the cluster in it gives to pods and Services."""

from __future__ import annotations

from typing import Any

import pytest

from bundler.cluster.network import TemporaryNetwork, meets
from bundler.cluster.ownership import Owner
from bundler.engine import Engine
from bundler.errors import ClusterFailed

ME = Owner("boot-1", "pid:[1]", 100, "5000")


class Pools:
    """Docker, as far as it gives networks addresses: the next one that no network has."""

    def __init__(self, *subnets: str) -> None:
        self.free = list(subnets)
        self.there: dict[str, str] = {}

    def create_network(self, name: str, **_: Any) -> None:
        self.there[name] = self.free.pop(0)

    def inspect_network(self, name: str) -> dict[str, Any]:
        subnet = self.there[name]
        return {"IPAM": {"Config": [{"Subnet": subnet, "Gateway": subnet.replace(".0/", ".1/")}]}}

    def remove_network(self, name: str) -> None:
        del self.there[name]

    def containers(self, **_: Any) -> list[dict[str, Any]]:
        return []

    def networks(self, *, names: list[str]) -> list[dict[str, Any]]:
        return [{"Id": name} for name in names if name in self.there]


@pytest.mark.parametrize(
    ("subnet", "bad"),
    [("172.18.0.0/16", False), ("10.244.7.0/24", True), ("10.96.255.0/24", True), ("10.96.0.0/12", True), ("10.112.0.0/24", False), ("10.0.0.0/8", True), ("fd00::/64", False)],
)
def test_what_meets(subnet: str, *, bad: bool) -> None:
    assert meets(subnet) is bad


def test_another_one_is_taken_and_nothing_else_is_left() -> None:
    docker = Pools("10.96.0.0/24", "10.244.0.0/16", "10.112.0.0/24")
    with TemporaryNetwork(Engine(type("Client", (), {"api": docker})()), ME) as network:
        assert (docker.there, network.gateway) == ({network.name: "10.112.0.0/24"}, "10.112.0.1")
    assert docker.there == {}


def test_pools_that_have_no_others() -> None:
    docker = Pools(*(f"10.244.{number}.0/24" for number in range(9)))
    with pytest.raises(ClusterFailed, match=r"pods or Services have \(10\.244\.") as caught, TemporaryNetwork(Engine(type("Client", (), {"api": docker})()), ME):
        pass
    assert "default-address-pools" in caught.value.remedy
    assert docker.there == {}
