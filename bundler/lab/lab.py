"""Lab: blank hosts in a closed network, and an operator beside them who has a file, a key, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from bundler.cluster.connection import DockerConnection
from bundler.cluster.container import TemporaryHost, TemporaryNetwork
from bundler.cluster.ownership import Owner
from bundler.engine import Engine
from bundler.lab import border
from bundler.lab.border import Contact
from bundler.lab.keys import KeyPair, host_files, operator_files
from bundler.lab.operator import Operator
from bundler.lab.topology import Topology, role_of
from installer_stub.host.model import Host, Role
from installer_stub.phases.base import Reporter


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
        self._network = TemporaryNetwork(engine, owner, keep=keep, closed=True)
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
        made: Sequence[tuple[str, TemporaryHost]] = [
            (name, TemporaryHost(self._engine, self._image, self._network, self._reporter, hostname=name, role=role_of(name), files=host_files(pair, client)))
            for name, pair in pairs.items()
        ]
        for _, host in made:
            self._stack.callback(host.__exit__, None, None, None)  # also of those that come up while another one fails
        with ThreadPoolExecutor(4) as pool:
            connections = list(pool.map(lambda each: each[1].__enter__(), made))
        for connection in connections:
            self._stack.callback(connection.close)
        self.hosts = tuple(LabHost(name, connection.host, connection) for (name, _), connection in zip(made, connections, strict=True))

