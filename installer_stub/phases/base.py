"""Phase: one step of an installation, and the Context that all steps share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, ClassVar, Protocol, TypeVar

from installer_stub.agent.client import AgentConnection
from installer_stub.bundle.model import ImageLock
from installer_stub.errors import HostError, InstallerError, LedgerError
from installer_stub.host.command import Secret
from installer_stub.host.connection import Connection
from installer_stub.kube.control_plane import Speaker
from installer_stub.plan.model import HostPlan, Plan
from installer_stub.site.model import SiteRecord

T = TypeVar("T")


class Reporter(Protocol):
    """Where a phase tells what it does. Implemented by the console, by JSON events, and by tests."""

    def step(self, text: str) -> None:
        """Say that something begins or happened."""

    def moved(self, what: str, count: int, total: int) -> None:
        """Say that ``count`` more bytes of ``total`` of ``what`` have moved."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """What the operator's side sends: the stub for every host and, at a site, the whole ``.run`` for masters."""

    stub_size: int
    open_stub: Callable[[], BinaryIO]  # a fresh binary stream of the stub executable: bootloader + package
    stub_digest: str  # sha256 hex of that stream
    open_run: Callable[[], BinaryIO] | None = None  # of the file that was verified; None while recording: there is none yet
    run_size: int = 0
    run_sha256: str = ""  # of the whole file, in hex, as verified; empty: it was not


@dataclass(slots=True)
class Context:
    """What phases work with. The plan is decided before the first of them runs."""

    plan: Plan
    connections: dict[str, Connection]  # by host address
    artifact: Artifact
    reporter: Reporter
    kubeconfig: str = "kubeconfig"  # where the operator's copy goes
    notes: list[str] = field(default_factory=list)  # lines for the closing summary
    lock: ImageLock | None = None  # what acceptance compares with; a recording has none yet
    force_rejoin: frozenset[str] = frozenset()  # hosts in doubt that the operator says may be wiped and joined again
    take: tuple[str, ...] = ()  # directories of others that the operator lets us set aside
    leftovers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by host: the directories where others' data lies
    record: SiteRecord | None = None  # the site's, as it is to be; a build has none
    secrets: list[Secret] = field(default_factory=list)  # what phases came to know: the log of the run masks it
    alone: bool = False  # a node may fail alone: it is left out from then on, and the run goes on without it
    left_out: dict[str, InstallerError] = field(default_factory=dict)  # such nodes by address, and why
    verb: str = "install"  # what others are told who want the site meanwhile
    agents: list[AgentConnection] = field(default_factory=list)  # of this run: ended with it, also those left out
    speaker: Speaker | None = None  # the master that spoke for the cluster last; cluster_access chooses it

    def connection(self, host: HostPlan) -> Connection:
        """Return the connection to ``host``."""
        return self.connections[host.address]

    @property
    def first(self) -> Connection:
        """The first master's connection: where kubectl and CMD run."""
        return self.connections[self.plan.masters[0].address]

    def reachable(self, hosts: Iterable[HostPlan] | None = None) -> tuple[HostPlan, ...]:
        """Return those of ``hosts`` (all, if None) that take part: connected, and not left out."""
        return tuple(host for host in (self.plan.hosts if hosts is None else hosts) if host.address in self.connections)

    def each(self, hosts: Iterable[HostPlan], work: Callable[[HostPlan, Connection], T]) -> dict[str, T]:
        """Do ``work`` on those of ``hosts`` that take part, in parallel; return the results by address.

        Raises HostsFailed (or the one HostError) after all have ended. Where nodes may fail alone, one that does is left out
        from then on, unless a master failed too or no node would be left.
        """
        from installer_stub.host.fanout import outcomes, raise_any

        results, failures = outcomes(self.reachable(hosts), lambda host: work(host, self.connection(host)))
        nodes = {host.address for host in self.plan.nodes}
        lone = {address: error for address, error in failures.items() if address in nodes and isinstance(error, (HostError, LedgerError))}
        if not self.alone or len(lone) < len(failures) or not nodes - set(self.left_out) - set(lone):
            raise_any(failures.values())
        for address, error in lone.items():
            self.left_out[address] = error
            del self.connections[address]
            self.reporter.step(f"going on without {error.problem}")
        return results


class Phase:
    """One step. Safe to run twice; ``is_needed`` looks at the hosts, not at a memory of ours."""

    title: ClassVar[str]

    def is_needed(self, context: Context) -> bool:  # noqa: ARG002
        """Tell whether there is anything to do. Reads only."""
        return True

    def run(self, context: Context) -> None:
        """Do it. A second run after a kill at any moment must end in the same state."""
        raise NotImplementedError
