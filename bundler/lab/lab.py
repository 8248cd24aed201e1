"""Lab: blank hosts in a closed network, and an operator beside them who has a file, a key, and nothing else."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from bundler.cluster.connection import DockerConnection
from bundler.cluster.container import TemporaryHost
from bundler.cluster.network import TemporaryNetwork
from bundler.cluster.ownership import Owner
from bundler.engine import Engine
from bundler.lab import border
from bundler.lab.border import Contact
from bundler.lab.hosts import start_hosts
from bundler.lab.keys import KeyPair, host_files, operator_files
from bundler.lab.operator import Operator
from bundler.lab.topology import Topology
from installer_stub.host.model import Host, Role
from installer_stub.phases.reporter import Reporter


@dataclass(frozen=True, slots=True)
class LabHost:
    """One host; ``connection`` leads to it through docker, whatever its network does."""

    name: str
    host: Host
    connection: DockerConnection


class Lab:
    """Hosts ``m1`` … ``n1`` …, up for as long as the ``with`` lasts; then gone with their data, however it ends."""

    def __init__(self, engine: Engine, owner: Owner, image: str, topology: Topology, reporter: Reporter, *, keep: bool = False) -> None:
        self._engine, self._image, self._reporter = engine, image, reporter
        self._network = TemporaryNetwork(engine, owner, keep=keep, closed=True, reporter=reporter)
        self.topology = topology
        self.hosts: tuple[LabHost, ...] = ()
        self._stack = ExitStack()

    @property
    def masters(self) -> tuple[LabHost, ...]:
        """Hosts of the control plane, in their order."""
        return tuple(each for each in self.hosts if each.host.role is Role.MASTER)

    @property
    def nodes(self) -> tuple[LabHost, ...]:
        """Workers, in their order."""
        return tuple(each for each in self.hosts if each.host.role is Role.NODE)

    @property
    def name(self) -> str:
        """What its network and all of its containers begin with."""
        return self._network.name

    def __enter__(self) -> Self:
        """Raises DockerError, ClusterFailed; nothing is left then."""
        try:
            self._stack.enter_context(self._network)
            client = KeyPair.make()
            pairs = {name: KeyPair.make() for name in self.topology.names}
            self._start(pairs, client)
            known = {each.host.address: pairs[each.name] for each in self.hosts}
            self.operator = self._stack.enter_context(Operator(self._engine, self._image, self._network, operator_files(client, known)))
            self._network.stay()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def close_border(self, pods: str, services: str) -> None:
        """Refuse and remember whatever is for none of these networks. Raises ClusterFailed."""
        for each in self.hosts:
            border.guard(each.connection, (self._network.subnet, pods, services))

    def contacts(self) -> frozenset[Contact]:
        """Return who wanted to speak to somebody outside, of all hosts. Raises ClusterFailed."""
        return frozenset().union(*(border.contacts(each.connection) for each in self.hosts))

    def _start(self, pairs: dict[str, KeyPair], client: KeyPair) -> None:
        def make(name: str, role: Role) -> TemporaryHost:
            return TemporaryHost(self._engine, self._image, self._network, self._reporter, hostname=name, role=role, files=host_files(pairs[name], client))

        found = start_hosts(self._stack, self.topology, make)
        self.hosts = tuple(LabHost(name, connection.host, connection) for name, connection in found.items())
