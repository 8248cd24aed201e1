"""A docker network of one build, and its certain removal."""

from __future__ import annotations

import ipaddress
import secrets
from typing import Any, Final, Self

from bundler.cluster.clear import clear
from bundler.cluster.lease import Lease
from bundler.cluster.ownership import KEPT, LABEL, Owner
from bundler.cluster.uninterrupted import heard_afterwards, uninterrupted
from bundler.engine import Engine, docker_errors
from bundler.errors import ClusterFailed
from installer_stub.options import POD_CIDR, SERVICE_CIDR
from installer_stub.phases.reporter import Reporter

_TRIES: Final = 5  # docker's pools are mostly larger than what a cluster takes: the next ones are elsewhere
_POOLS: Final = f"give the engine pools that leave {POD_CIDR} and {SERVICE_CIDR} out: default-address-pools in /etc/docker/daemon.json, then restart it"


class TemporaryNetwork:
    """A docker network of one build. ``gateway`` is this machine's address on it. ``keep`` leaves it behind, once ``stay`` was called.

    When the ``with`` ends everything in it goes, however it came there; ``reporter`` hears of what docker does not remove.

    ``closed``: no packet leaves it, and its hosts know no names of the outside. Docker chooses addresses that no route of its machine
    leads to; those of the cluster's pods and Services it cannot know, and one that meets them is not taken.
    """

    def __init__(self, engine: Engine, owner: Owner, *, keep: bool = False, closed: bool = False, reporter: Reporter | None = None) -> None:
        self._engine, self._reporter = engine, reporter
        self.labels = {LABEL: KEPT if keep else str(owner)}
        self.keep = keep
        self.stays = False  # whether it is left behind now: not before ``stay``
        self.closed = closed
        self.name = self.id = self.gateway = self.subnet = ""
        self.lease = Lease(engine)  # of every container in it

    def __enter__(self) -> Self:
        made: list[str] = []
        try:
            self._choose(made)
            made.remove(self.name)
        finally:
            with uninterrupted():
                for name in made:
                    self._remove(name)
        self.lease.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        with uninterrupted():
            self.lease.__exit__()
            if not self.stays:
                self._remove(self.name)

    def stay(self) -> None:
        """Leave it behind, with the hosts in it, if that is wished: they are up, and there is something to look at."""
        self.stays = self.keep

    def _choose(self, made: list[str]) -> None:
        """Make networks until one will do; all stay for now, so that docker chooses others. Raises DockerError, ClusterFailed."""
        for _ in range(_TRIES):
            self.name = f"airseal-build-{secrets.token_hex(4)}"
            made.append(self.name)
            if self._make():
                return
        raise ClusterFailed(f"docker gives its networks addresses that a cluster's pods or Services have ({self.subnet})", _POOLS)

    def _make(self) -> bool:
        """Make it; return whether its addresses are no pod's and no Service's. Raises DockerError, ClusterFailed."""
        api = self._engine.client.api
        with docker_errors("docker cannot make a network for the temporary cluster"):
            with heard_afterwards():
                api.create_network(self.name, driver="bridge", labels=self.labels, internal=self.closed)
            found: dict[str, Any] = api.inspect_network(self.name)
        place: dict[str, Any] = next((entry for entry in found["IPAM"]["Config"] if entry.get("Gateway")), {})
        self.gateway, self.subnet = str(place.get("Gateway", "")).partition("/")[0], str(place.get("Subnet", ""))
        if not (self.gateway and self.subnet):
            raise ClusterFailed("docker made a network without a gateway address", "check the engine's default-address-pools")
        self.id = str(found.get("Id", ""))
        return not meets(self.subnet)

    def _remove(self, name: str) -> None:
        if (why := clear(self._engine, name)) and self._reporter is not None:
            self._reporter.step(f"docker has not removed everything of {name}: {why}; the next build does, or airseal cache prune")


def meets(subnet: str) -> bool:
    """Tell whether an address is in ``subnet`` and in the networks that a cluster's pods and Services have."""
    network = ipaddress.ip_network(subnet, strict=False)
    return any(network.version == 4 and network.overlaps(ipaddress.IPv4Network(each)) for each in (POD_CIDR, SERVICE_CIDR))
