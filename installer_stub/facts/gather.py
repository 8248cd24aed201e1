"""HostFacts: everything we know about a host, from one round trip."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from installer_stub.errors import HostError
from installer_stub.facts import (
    certificates,
    identity,
    kernel,
    leftovers,
    network,
    proxies,
    resources,
    runtime_config,
    software,
)
from installer_stub.facts.base import Fact, Unreadable
from installer_stub.facts.certificates import Certificate
from installer_stub.facts.identity import OsRelease
from installer_stub.facts.kernel import Cgroups, Selinux
from installer_stub.facts.leftovers import Leftover
from installer_stub.facts.network import Firewalls, ResolvConf, Routes
from installer_stub.facts.proxies import Proxies
from installer_stub.facts.resources import Disk, Mount, mount_of
from installer_stub.facts.runtime_config import RuntimeConfig
from installer_stub.facts.software import Membership
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.host.fanout import for_each

ALL_FACTS: tuple[Fact[object], ...] = (
    identity.OS_RELEASE,
    identity.MACHINE,
    identity.HOSTNAME,
    identity.MACHINE_ID,
    resources.CLOCK,
    resources.CPUS,
    resources.MEMORY,
    resources.DISKS,
    resources.MOUNTS,
    resources.SWAPS,
    kernel.CGROUPS,
    kernel.SYS_RESOURCE,
    kernel.CONNTRACK,
    kernel.SYSCTL_VALUES,
    kernel.SELINUX,
    kernel.SYSTEMD,
    network.RESOLV_CONF,
    network.ROUTES,
    network.IPV6_DEFAULT,
    network.ADDRESSES,
    network.LISTENING,
    network.FIREWALLS,
    software.MEMBERSHIP,
    software.ENGINES,
    software.AVAILABLE_TOOLS,
    leftovers.LEFTOVERS,
    proxies.PROXIES,
    runtime_config.RUNTIME_CONFIG,
    certificates.CERTIFICATES,
)

_SEPARATOR = "\x1e"  # ASCII record separator: in no file that we read
TIMEOUT = 60.0  # df and is-active can hang on a dead NFS server or bus


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What is true on one host. Sizes in bytes; ``clock_offset`` in seconds, against the machine that asked."""

    os: OsRelease
    architecture: str
    kernel: str
    hostname: str
    machine_id: str
    clock_offset: float
    cpus: int
    memory: int
    disks: tuple[Disk, ...]
    mounts: tuple[Mount, ...]
    swap: bool
    cgroups: Cgroups
    sys_resource: bool
    conntrack_writable: bool
    sysctls: Mapping[str, int]
    selinux: Selinux
    systemd: str
    resolv_confs: tuple[ResolvConf, ...]
    routes: Routes
    default_route: bool
    addresses: tuple[str, ...]
    listening: frozenset[int]
    firewalls: Firewalls
    membership: Membership
    engines: tuple[str, ...]
    tools: frozenset[str]
    leftovers: tuple[Leftover, ...]
    proxies: Proxies
    runtime_config: RuntimeConfig
    certificates: tuple[Certificate, ...]

    def disk(self, place: str) -> Disk:
        """Return the file system that holds ``place``, one of ``resources.PLACES``. Raises KeyError."""
        for disk in self.disks:
            if disk.place == place:
                return disk
        raise KeyError(place)

    def mount(self, path: str) -> Mount | None:
        """Return the mount that ``path`` is on."""
        return mount_of(path, self.mounts)

    @property
    def resolv_conf(self) -> str | None:
        """The resolv.conf that pods can use, or None: see ``ResolvConf.usable``."""
        return next((conf.path for conf in self.resolv_confs if conf.usable), None)


def question() -> Command:
    """Return the one command that asks everything."""
    parts = [f"printf '\\036%s\\n' {fact.name}; ( {fact.command} ) 2>/dev/null || :" for fact in ALL_FACTS]
    return Command.shell("\n".join(parts))


def parse(stdout: str, *, asked: float, answered: float) -> HostFacts:
    """Return the facts in ``stdout``. The times, of our own clock, say between which moments the host's was read.

    Raises Unreadable.
    """
    answers: dict[str, str] = {}
    for part in stdout.split(_SEPARATOR)[1:]:
        name, _, answer = part.partition("\n")
        answers[name] = answer
    machine = identity.MACHINE.read(answers)
    routes = network.ROUTES.read(answers)
    return HostFacts(
        os=identity.OS_RELEASE.read(answers),
        architecture=machine.architecture,
        kernel=machine.kernel,
        hostname=identity.HOSTNAME.read(answers),
        machine_id=identity.MACHINE_ID.read(answers),
        clock_offset=resources.CLOCK.read(answers) - (asked + answered) / 2,
        cpus=resources.CPUS.read(answers),
        memory=resources.MEMORY.read(answers),
        disks=resources.DISKS.read(answers),
        mounts=resources.MOUNTS.read(answers),
        swap=resources.SWAPS.read(answers),
        cgroups=kernel.CGROUPS.read(answers),
        sys_resource=kernel.SYS_RESOURCE.read(answers),
        conntrack_writable=kernel.CONNTRACK.read(answers),
        sysctls=kernel.SYSCTL_VALUES.read(answers),
        selinux=kernel.SELINUX.read(answers),
        systemd=kernel.SYSTEMD.read(answers),
        resolv_confs=network.RESOLV_CONF.read(answers),
        routes=routes,
        default_route=routes.default or network.IPV6_DEFAULT.read(answers),
        addresses=network.ADDRESSES.read(answers),
        listening=network.LISTENING.read(answers),
        firewalls=network.FIREWALLS.read(answers),
        membership=software.MEMBERSHIP.read(answers),
        engines=software.ENGINES.read(answers),
        tools=software.AVAILABLE_TOOLS.read(answers),
        leftovers=leftovers.LEFTOVERS.read(answers),
        proxies=proxies.PROXIES.read(answers),
        runtime_config=runtime_config.RUNTIME_CONFIG.read(answers),
        certificates=certificates.CERTIFICATES.read(answers),
    )


def gather(connection: Connection) -> HostFacts:
    """Return the facts of one host. Raises HostError."""
    asked = time.time()
    result = connection.run(question(), timeout=TIMEOUT)
    try:
        return parse(result.stdout, asked=asked, answered=time.time())
    except Unreadable as error:
        raise HostError(
            connection.host.address, f"gave an answer that cannot be read: {error}", "is /proc mounted there, and is it Linux?"
        ) from None


def gather_all(connections: Mapping[str, Connection]) -> dict[str, HostFacts]:
    """Return the facts of every host by address, asked in parallel. Raises HostError, HostsFailed."""
    hosts = tuple(connection.host for connection in connections.values())
    return for_each(hosts, lambda host: gather(connections[host.address]))
