"""Phase: one step of an installation, and the Context that all steps share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, ClassVar, TypeVar

from installer_stub.agent.client import AgentConnection
from installer_stub.bundle.layout import Layout
from installer_stub.bundle.model import ImageLock
from installer_stub.changes.things import Thing
from installer_stub.errors import HostError, InstallerError, LedgerError
from installer_stub.host.command import Secret
from installer_stub.host.connection import Connection
from installer_stub.phases.layouts import LAYOUTS
from installer_stub.phases.node_grant import NodeGrant
from installer_stub.phases.reporter import Reporter
from installer_stub.plan.model import HostPlan, Plan
from installer_stub.site.model import SiteHost, SiteRecord

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Artifact:
    """What the operator's side sends: the stub for every host and, at a site, the whole ``.run`` for masters."""

    stub_size: int
    open_stub: Callable[[], BinaryIO]  # a fresh binary stream of the stub executable: bootloader + package
    stub_digest: str  # sha256 hex of that stream
    open_run: Callable[[], BinaryIO] | None = None  # of the file that was verified; None while recording: there is none yet
    run_size: int = 0
    run_sha256: str = ""  # of the whole file, in hex, as verified; empty: it was not

    @property
    def layout(self) -> Layout:
        """How the stub stands on a host. It is read for that, the first time. Raises BundleError."""
        return LAYOUTS.of(self.open_stub, self.stub_size, self.stub_digest)


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
    values: Mapping[str, bytes] = field(default_factory=dict)  # what every master keeps of the site's values, by path; secrets too
    record: SiteRecord | None = None  # the site's, as it is to be; a build has none
    lab_hosts: tuple[SiteHost, ...] = ()  # of a build: what its nodes are given of labels and taints, as a record would say
    secrets: list[Secret] = field(default_factory=list)  # what phases came to know: the log of the run masks it
    alone: bool = False  # a node may fail alone: it is left out from then on, and the run goes on without it
    left_out: dict[str, InstallerError] = field(default_factory=dict)  # such nodes by address, and why
    verb: str = "install"  # what others are told who want the site meanwhile
    agents: list[AgentConnection] = field(default_factory=list)  # of this run: ended with it, also those left out
    grant: NodeGrant = field(default_factory=NodeGrant)  # lets nodes join; taken back by the end of the run
    worked: list[str] = field(default_factory=list)  # titles of the steps of this run that had something to do
    speaking: HostPlan | None = None  # the master that spoke for the cluster last; cluster_access chooses it

    def connection(self, host: HostPlan) -> Connection:
        """Return the connection to ``host``."""
        return self.connections[host.address]

    @property
    def first(self) -> Connection:
        """The first master's connection: where kubectl and CMD run."""
        return self.connections[self.plan.masters[0].address]

    def reachable(self, hosts: Iterable[HostPlan] | None = None) -> tuple[HostPlan, ...]:
        """Return those of ``hosts`` (all, if None) that take part: connected, and not left out."""
        some = self.plan.hosts if hosts is None else hosts
        return tuple(host for host in some if host.address in self.connections and host.address not in self.left_out)

    def may_leave_out(self, host: str) -> bool:
        """Tell whether the run may go on without ``host``: a node, where nodes may fail alone, and not the last one."""
        nodes = {each.address for each in self.plan.nodes}
        return self.alone and host in nodes and bool(nodes - set(self.left_out) - {host})

    def leave_out(self, host: str, error: InstallerError) -> None:
        """Go on without a host, from now on."""
        self.left_out[host] = error
        self.connections.pop(host, None)
        self.reporter.step(f"going on without {error.problem}")

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
            self.leave_out(address, error)
        return results


class Phase:
    """A part of an installation: a pure planner of Steps. As it stands here it is one step, over all its hosts at once.

    Safe to run twice; ``is_needed`` looks at the hosts, not at a memory of ours.
    """

    title: ClassVar[str]
    after: tuple[type[Phase], ...] | None = None  # whose steps have to end first; None: everything before it
    acts_on_cluster: ClassVar[bool] = False  # it changes the cluster through any of the masters
    looks: ClassVar[bool] = False  # it changes nothing, and runs every time
    seconds: ClassVar[float] = 0.0  # as measured on two slow cores (docs/benchmarks.md), without what it moves

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """Return the hosts that it works on, and keeps from other steps meanwhile."""
        return plan.hosts

    def things(self, plan: Plan, host: HostPlan) -> tuple[Thing, ...]:  # noqa: ARG002
        """Return what the ledger of ``host`` may come to hold through it."""
        return ()

    def moves(self, plan: Plan, host: HostPlan, artifact: Artifact) -> int:  # noqa: ARG002
        """Return how many bytes it brings to ``host``, at most."""
        return 0

    def duration(self, plan: Plan) -> float:  # noqa: ARG002
        """Return about how many seconds one step takes, without what it moves."""
        return self.seconds

    def is_needed(self, context: Context) -> bool:  # noqa: ARG002
        """Tell whether there is anything to do. Looks only."""
        return True

    def run(self, context: Context) -> None:
        """Do it. A second run after a kill at any moment must end in the same state."""
        raise NotImplementedError


class HostPhase(Phase):
    """A phase with a step for each of its hosts. No host waits for another, unless they go ``one_by_one``."""

    after: tuple[type[Phase], ...] | None = ()
    one_by_one: ClassVar[bool] = False

    def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
        """Tell whether there is nothing to do on ``host``. Looks only."""
        raise NotImplementedError

    def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
        """Do it there. A second time after a kill at any moment must end in the same state."""
        raise NotImplementedError

    def is_needed(self, context: Context) -> bool:
        """Tell whether there is anything to do on any host."""
        done = context.each(self.hosts(context.plan), lambda host, connection: self.is_done(context, host, connection))
        return not all(done.values())

    def run(self, context: Context) -> None:
        """Do it on every host where there is something to do."""

        def work(host: HostPlan, connection: Connection) -> None:
            if not self.is_done(context, host, connection):
                self.do(context, host, connection)

        if self.one_by_one:
            for host in context.reachable(self.hosts(context.plan)):
                work(host, context.connection(host))
        else:
            context.each(self.hosts(context.plan), work)
