"""Phase: one step of an installation, and the Context that all steps share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, ClassVar, Protocol, TypeVar

from installer_stub.bundle.model import ImageLock
from installer_stub.host.command import Secret
from installer_stub.host.connection import Connection
from installer_stub.kube.control_plane import Speaker
from installer_stub.plan import HostPlan, Plan

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
    run_path: str | None = None  # None while recording: there is no artifact yet
    run_size: int = 0
    run_digest: str = ""  # identity of its whole content, once that was verified; empty: hash the file


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
    secrets: list[Secret] = field(default_factory=list)  # what phases came to know: the log of the run masks it
    speaker: Speaker | None = None  # the master that spoke for the cluster last; cluster_access chooses it

    def connection(self, host: HostPlan) -> Connection:
        """Return the connection to ``host``."""
        return self.connections[host.address]

    @property
    def first(self) -> Connection:
        """The first master's connection: where kubectl and CMD run."""
        return self.connections[self.plan.masters[0].address]

    def reachable(self, hosts: Iterable[HostPlan] | None = None) -> tuple[HostPlan, ...]:
        """Return those of ``hosts`` (all, if None) that we are connected to: a reset goes on without the others."""
        return tuple(host for host in (self.plan.hosts if hosts is None else hosts) if host.address in self.connections)

    def each(self, hosts: Iterable[HostPlan], work: Callable[[HostPlan, Connection], T]) -> dict[str, T]:
        """Do ``work`` on all hosts in parallel. Raises HostsFailed (or the one HostError) after all have ended."""
        from installer_stub.host.fanout import for_each

        return for_each(tuple(hosts), lambda host: work(host, self.connection(host)))


class Phase:
    """One step. Safe to run twice; ``is_needed`` looks at the hosts, not at a memory of ours."""

    title: ClassVar[str]

    def is_needed(self, context: Context) -> bool:  # noqa: ARG002
        """Tell whether there is anything to do. Reads only."""
        return True

    def run(self, context: Context) -> None:
        """Do it. A second run after a kill at any moment must end in the same state."""
        raise NotImplementedError

    def undo(self, context: Context) -> None:
        """Put the hosts back as they were before. Also called for a phase that failed half-way."""
