"""The hosts of a topology, up side by side: one starts while another one boots."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from bundler.cluster.connection import DockerConnection
from bundler.cluster.container import TemporaryHost
from bundler.cluster.uninterrupted import heard_afterwards, uninterrupted
from bundler.lab.topology import Topology, role_of
from installer_stub.host.model import Host, Role
from installer_stub.options import POD_CIDR, SERVICE_CIDR

_AT_A_TIME: Final = 4


@dataclass(frozen=True, slots=True)
class Choices:
    """What an operator of these hosts would have chosen, the first master first."""

    hosts: tuple[Host, ...]
    pod_cidr: str = POD_CIDR
    service_cidr: str = SERVICE_CIDR


Make = Callable[[str, Role], TemporaryHost]
"""Returns a host of that name and role, not started."""


def start_hosts(stack: ExitStack, topology: Topology, make: Make) -> dict[str, DockerConnection]:
    """Start the hosts of ``topology``; return the connections by the hosts' names, in its order. Raises DockerError, ClusterFailed.

    They go when ``stack`` unwinds, also those that came up while another one failed.
    """
    made = [make(name, role_of(name)) for name in topology.names]
    for host in made:
        stack.callback(host.__exit__, None, None, None)
    pool = ThreadPoolExecutor(_AT_A_TIME)
    try:
        with heard_afterwards():  # a thread whose start is cut is one that nobody waits for
            starting = [pool.submit(host.__enter__) for host in made]
        connections = [each.result() for each in starting]
    finally:
        with uninterrupted():  # who removes hosts while some are still being made leaves those
            pool.shutdown(cancel_futures=True)
    for connection in connections:
        stack.callback(connection.close)
    return dict(zip(topology.names, connections, strict=True))
