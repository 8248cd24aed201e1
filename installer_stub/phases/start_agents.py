"""From here on every host is worked on by its agent, under a lease: one process there, one sudo, one run at a time."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from installer_stub.agent.client import AgentConnection
from installer_stub.agent.host_lease import LEASE, Holder
from installer_stub.agent.lease import Claimant, busy, operator, take_leases
from installer_stub.agent.start import DuplexConnection, start_agent
from installer_stub.errors import CommandFailed, HostError, HostsFailed, HostUnreachable, SiteBusy
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.host.fanout import for_each
from installer_stub.phases.base import Artifact, Context
from installer_stub.phases.put_stub import has_stub, put_stub
from installer_stub.phases.reporter import Reporter
from installer_stub.plan.model import HostPlan
from installer_stub.site.model import SiteRecord
from installer_stub.site.store import read_mark


def start_agents(context: Context, *, needed: bool = True) -> None:
    """Let the context's connections be agents', and take every host's lease. Raises SiteBusy, HostUnreachable.

    Before everything else: the stub is all that comes to a host without the lease, and not while another run works there.
    Where they are not ``needed``, as in a reset of a host that is full or half empty, a host without one is said and worked
    on over the connection it has.
    """
    run = secrets.token_hex(8)

    def start(host: HostPlan, connection: Connection) -> None:
        # A connection of a test may be no more than a Connection; those of sites and builds are more.
        if not isinstance(connection, DuplexConnection):
            return
        try:
            agent = _start(connection, context.artifact, run, context.reporter)
        except (HostUnreachable, CommandFailed) as error:
            if needed:
                raise
            context.reporter.step(f"going on without an agent: {error.problem}")
            return
        context.agents.append(agent)
        context.connections[host.address] = agent

    with _one_is_enough():
        context.each(context.reachable(), start)
    take_leases(context.agents, Claimant(run, operator(), context.verb), context.reporter.step)
    if context.record is not None:
        context.each(context.reachable(context.plan.masters), lambda _host, connection: _is_as_seen(context.record, connection))


@contextmanager
def _one_is_enough() -> Iterator[None]:
    """Raise one SiteBusy where several hosts are busy, or busy and something else: it is what the operator has to know."""
    try:
        yield
    except HostsFailed as error:
        busy_ones = [failure for failure in error.failures if isinstance(failure, SiteBusy)]
        if busy_ones:
            raise busy_ones[0] from None
        raise


def _is_as_seen(record: SiteRecord | None, connection: Connection) -> None:
    """Raise SiteBusy where another run changed the site between our look at it and our lease."""
    there = read_mark(connection).record
    if record is None or there is None or there == record or (there.cluster == record.cluster and there.epoch < record.epoch):
        return
    changed = there.changed
    raise SiteBusy(
        f"{connection.host.address}: {changed.verb} by {changed.by} changed this site after this run had looked at it", "run the same command again"
    )


def end_agents(agents: Iterable[AgentConnection]) -> None:
    """Let every agent end, all at once; each gives its lease back. The connections they were started over remain."""
    closing = [threading.Thread(target=agent.close, daemon=True) for agent in agents]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join()


@contextmanager
def working(context: Context) -> Iterator[Context]:
    """Give the context, and end the agents that are started in it when the block ends."""
    try:
        yield context
    finally:
        context.grant.take_back()
        end_agents(context.agents)


@contextmanager
def leased(connections: Iterable[Connection], artifact: Artifact, verb: str, reporter: Reporter) -> Iterator[None]:
    """Hold the lease of these hosts while the block runs, for a verb that works over its own connections. Raises SiteBusy."""
    run = secrets.token_hex(8)
    agents: list[AgentConnection] = []
    duplex = tuple(_Reached(each) for each in connections if isinstance(each, DuplexConnection))
    try:
        with _one_is_enough():
            for_each(duplex, lambda one: agents.append(_start(one.connection, artifact, run, reporter)))
        take_leases(agents, Claimant(run, operator(), verb), reporter.step)
        yield
    finally:
        end_agents(agents)


def nobody_works(connections: Iterable[Connection]) -> None:
    """Raise SiteBusy where another run is at work on any of these hosts: what is odd there is its doing, and no finding."""
    for connection in connections:
        with suppress(HostError):
            nobody_works_there(connection)


class _Reached:
    """A connection as something that stands for a host."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.address = connection.host.address


def _start(connection: Connection, artifact: Artifact, run: str, reporter: Reporter) -> AgentConnection:
    if not isinstance(connection, DuplexConnection):
        raise HostUnreachable(connection.host.address, "this connection cannot carry an agent")
    if not has_stub(connection, artifact):
        nobody_works_there(connection)
        try:
            put_stub(connection, artifact, reporter)
        except CommandFailed:
            nobody_works_there(connection)  # it began meanwhile: that is why, not what the host said
            raise
    agent = start_agent(connection, run, said=reporter.step)
    if agent.program != artifact.layout.identity:
        # Between our look and our start another installer put its own there: one that is not yet at work, but about to be.
        agent.close()
        raise SiteBusy(f"{connection.host.address}: an installer of another version begins to work there", "let it end, and run the same command again")
    return agent


def nobody_works_there(connection: Connection) -> None:
    """Raise SiteBusy where another run holds the lease of the host: nothing is put under it, and nothing is concluded meanwhile."""
    holder = Holder.read(connection.read(str(LEASE)))
    if holder is not None and connection.run(Command.shell('kill -0 "$1" 2>/dev/null', str(holder.pid)), check=False).ok:
        raise busy(connection.host, holder, holder.heard)


