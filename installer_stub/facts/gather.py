"""HostFacts: everything we know about a host, from one round trip."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from installer_stub.errors import HostError
from installer_stub.facts import (
    certificates,
    identity,
    kernel,
    keys,
    leftovers,
    network,
    proxies,
    resources,
    runtime_config,
    software,
    sudo,
)
from installer_stub.facts.base import Fact, Unknown, Unreadable
from installer_stub.facts.certificates import Certificate
from installer_stub.facts.identity import OsRelease
from installer_stub.facts.kernel import Cgroups, Selinux
from installer_stub.facts.keys import Pem
from installer_stub.facts.leftovers import Leftover
from installer_stub.facts.network import Firewalls, ResolvConf, Routes
from installer_stub.facts.proxies import Proxies
from installer_stub.facts.resources import Disk, Mount, mount_of
from installer_stub.facts.runtime_config import RuntimeConfig
from installer_stub.facts.software import Membership
from installer_stub.host.become import TIMED_OUT
from installer_stub.host.command import Command, CommandResult
from installer_stub.host.connection import Connection
from installer_stub.host.fanout import for_each

# The ones that nothing can be said without come first, and last those that a dead mount or bus can hold.
ALL_FACTS: tuple[Fact[object], ...] = (
    identity.HOSTNAME,
    software.MEMBERSHIP,
    identity.MACHINE,
    identity.GLIBC,
    identity.MACHINE_ID,
    identity.OS_RELEASE,
    resources.CLOCK,
    resources.CPUS,
    resources.MEMORY,
    resources.MOUNTS,
    resources.SWAPS,
    kernel.CGROUPS,
    kernel.SYS_RESOURCE,
    kernel.CONNTRACK,
    kernel.SYSCTL_VALUES,
    kernel.SELINUX,
    network.RESOLV_CONF,
    network.ROUTES,
    network.IPV6_DEFAULT,
    network.ADDRESSES,
    network.LISTENING,
    software.ENGINES,
    software.AVAILABLE_TOOLS,
    software.NAMES_TAKEN,
    certificates.CERTIFICATES,
    keys.KEY_FILES,
    runtime_config.RUNTIME_CONFIG,
    kernel.SYSTEMD,
    network.FIREWALLS,
    proxies.PROXIES,
    sudo.RECORDED,
    leftovers.LEFTOVERS,
    resources.DISKS,
)

T = TypeVar("T")
_SEPARATOR = "\x1e"  # ASCII record separator: in no file that we read
_END = "end"
TIMEOUT = 60.0  # df and is-active can hang on a dead NFS server or bus


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What is true on one host. Sizes in bytes; ``clock_offset`` in seconds, against the machine that asked."""

    os: OsRelease
    architecture: str  # in the OCI's words; empty while unknown
    kernel: str
    glibc: str  # "2.36", or the name of another C library; empty while unknown
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
    keys: Mapping[str, Pem] = field(default_factory=dict)  # a master's files of keys, and its CAs; what is not in it nobody could tell
    names_taken: frozenset[str] = frozenset()  # paths in directories where we make links, that are not links to ours
    sudo_records: tuple[str, ...] = ()  # options by which sudo keeps what goes through it
    unknown: tuple[Unknown, ...] = ()  # what the host did not tell; the fields of these facts stand for nothing

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


def question(user: str = "root") -> Command:
    """Return the one command that asks everything, of a host where ``user`` logs in."""
    parts = [f"printf '\\036%s\\n' {fact.name}; ( {fact.command} ) 2>/dev/null || :" for fact in ALL_FACTS]
    return Command.shell("\n".join([*parts, f"printf '\\036{_END}\\n'"]), user)


def parse(stdout: str, *, asked: float, answered: float, silence: str = "it was not answered") -> HostFacts:
    """Return the facts in ``stdout``. The times, of our own clock, say between which moments the host's was read.

    A fact that is missing or odd is unknown, ``silence`` says why it may be missing. Raises Unreadable for the few without
    which nothing can be said of a host.
    """
    answers: dict[str, str] = {}
    # Only what is followed by another name, or by the end, was answered to its end: an empty answer may mean "none".
    for part in stdout.split(_SEPARATOR)[1:-1]:
        name, _, answer = part.partition("\n")
        answers[name] = answer
    told = _Told(answers, silence)
    machine, routes, clock = told.fact(identity.MACHINE), told.fact(network.ROUTES), told.fact(resources.CLOCK)
    ipv6_default = told.fact(network.IPV6_DEFAULT)
    facts = HostFacts(
        os=told.fact(identity.OS_RELEASE),
        architecture=machine.architecture,
        kernel=machine.kernel,
        glibc=told.fact(identity.GLIBC),
        hostname=told.fact(identity.HOSTNAME),
        machine_id=told.fact(identity.MACHINE_ID),
        clock_offset=clock - (asked + answered) / 2 if clock else 0.0,
        cpus=told.fact(resources.CPUS),
        memory=told.fact(resources.MEMORY),
        disks=told.fact(resources.DISKS),
        mounts=told.fact(resources.MOUNTS),
        swap=told.fact(resources.SWAPS),
        cgroups=told.fact(kernel.CGROUPS),
        sys_resource=told.fact(kernel.SYS_RESOURCE),
        conntrack_writable=told.fact(kernel.CONNTRACK),
        sysctls=told.fact(kernel.SYSCTL_VALUES),
        selinux=told.fact(kernel.SELINUX),
        systemd=told.fact(kernel.SYSTEMD),
        resolv_confs=told.fact(network.RESOLV_CONF),
        routes=routes,
        default_route=routes.default or ipv6_default,
        addresses=told.fact(network.ADDRESSES),
        listening=told.fact(network.LISTENING),
        firewalls=told.fact(network.FIREWALLS),
        membership=told.fact(software.MEMBERSHIP),
        engines=told.fact(software.ENGINES),
        tools=told.fact(software.AVAILABLE_TOOLS),
        leftovers=told.fact(leftovers.LEFTOVERS),
        proxies=told.fact(proxies.PROXIES),
        runtime_config=told.fact(runtime_config.RUNTIME_CONFIG),
        certificates=told.fact(certificates.CERTIFICATES),
        keys=told.fact(keys.KEY_FILES),
        names_taken=told.fact(software.NAMES_TAKEN),
        sudo_records=told.fact(sudo.RECORDED),
    )
    return replace(facts, unknown=tuple(told.unknown))


class _Told:
    """What a host answered, and what it did not."""

    def __init__(self, answers: Mapping[str, str], silence: str) -> None:
        self._answers = answers
        self._silence = silence
        self.unknown: list[Unknown] = []

    def fact(self, fact: Fact[T]) -> T:
        """Return the fact, or what stands for it while it is unknown. Raises Unreadable where nothing does."""
        try:
            return fact.read(self._answers, self._silence)
        except Unreadable as error:
            if fact.otherwise is None:
                raise
            self.unknown.append(Unknown(fact.name, error.why, fact.otherwise.meaning, fact.otherwise.needed))
            return fact.otherwise.value


def gather(connection: Connection) -> HostFacts:
    """Return the facts of one host. Raises HostError."""
    asked = time.time()
    result = connection.run(question(connection.host.user), check=False, timeout=TIMEOUT)
    try:
        return parse(result.stdout, asked=asked, answered=time.time(), silence=_silence(result))
    except Unreadable as error:
        problem = f"what it is cannot be found out: {error}"
        raise HostError(connection.host.address, problem, "is /proc mounted there, is there memory for a process, and is it Linux?") from None


def _silence(result: CommandResult) -> str:
    """Return why the host did not answer the questions after the last one that it came to."""
    last = result.stdout.rpartition(_SEPARATOR)[2].partition("\n")[0] if _SEPARATOR in result.stdout else ""
    at = f" at {last!r}" if last else ""
    if result.status == TIMED_OUT:
        return f"the host hung{at} for {TIMEOUT:.0f} s: a dead network mount, or a bus that does not answer"
    said = " ".join(result.stderr.split())[-200:]
    return f"the host stopped answering{at}, with status {result.status}{f': {said}' if said else ''}"


def gather_all(connections: Mapping[str, Connection]) -> dict[str, HostFacts]:
    """Return the facts of every host by address, asked in parallel. Raises HostError, HostsFailed."""
    hosts = tuple(connection.host for connection in connections.values())
    return for_each(hosts, lambda host: gather(connections[host.address]))
