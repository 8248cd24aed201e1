"""Finding: something a person must know before anything changes. Site: all that a check may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from installer_stub.bundle.documents import Needs
from installer_stub.bundle.model import BundleInfo
from installer_stub.facts.cluster import ClusterFacts
from installer_stub.facts.gather import HostFacts
from installer_stub.host.model import Host, Role
from installer_stub.plan.model import Member
from installer_stub.plan.settings import AS_USUAL, SiteSettings


class Severity(StrEnum):
    """``FATAL`` forbids the installation, ``WARNING`` wants a decision, ``NOTE`` tells of a setting we deal with."""

    FATAL = "fatal"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """``host`` is an address, or empty when it is about the site as a whole."""

    severity: Severity
    host: str
    problem: str
    remedy: str = ""

    def __str__(self) -> str:
        where = f"{self.host}: " if self.host else ""
        return f"{where}{self.problem}" + (f"\n      what to do: {self.remedy}" if self.remedy else "")


@dataclass(frozen=True, slots=True)
class Site:
    """Hosts as the operator named them, their facts by address, and what is to be installed."""

    hosts: tuple[Host, ...]
    facts: Mapping[str, HostFacts]
    bundle: BundleInfo
    pod_cidr: str
    service_cidr: str
    run_size: int = 0  # bytes of the artifact that every master keeps
    take: tuple[str, ...] = ()  # directories that the operator lets us set aside
    cluster: ClusterFacts | None = None  # of a site that has a cluster already
    links: frozenset[str] = frozenset()  # paths where programs of the bundle get a name on every host
    members: tuple[Member, ...] = ()  # all hosts of the site, also those that this run does not work on; empty: ``hosts``
    settings: SiteSettings = AS_USUAL
    needs: Needs | None = None  # of the installer; None: nobody wrote it down

    def each(self) -> Iterator[tuple[Host, HostFacts]]:
        """Return every host with its facts, each address once."""
        return ((host, self.facts[host.address]) for host in {host.address: host for host in self.hosts}.values())

    @property
    def masters(self) -> tuple[Host, ...]:
        """Hosts of the control plane."""
        return tuple(host for host in self.hosts if host.role is Role.MASTER)


Check = Callable[[Site], Iterable[Finding]]


def fatal(host: str, problem: str, remedy: str) -> Finding:
    """Return a finding that forbids the installation."""
    return Finding(Severity.FATAL, host, problem, remedy)


def warning(host: str, problem: str, remedy: str) -> Finding:
    """Return a finding that a person should decide about."""
    return Finding(Severity.WARNING, host, problem, remedy)


def note(host: str, problem: str) -> Finding:
    """Return a finding that we deal with ourselves."""
    return Finding(Severity.NOTE, host, problem)


def gib(size: float) -> str:
    """Return a size as a person reads it."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
