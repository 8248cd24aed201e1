"""Put the stub on every host: hosts have no Python and no curl, so the installer itself does the work there."""

from __future__ import annotations

from typing import ClassVar

from installer_stub.host.connection import Connection
from installer_stub.phases.base import Artifact, Context, HostPhase, Phase
from installer_stub.phases.claim import claim, is_claimed
from installer_stub.phases.journal import Journal
from installer_stub.phases.put_stub import has_stub, put_stub
from installer_stub.plan.model import HostPlan, Plan


class Claim(Phase):
    """Before anything else is changed. The first host is marked before the others, so it is one step."""

    title: ClassVar[str] = "Mark the hosts as this site's"

    def is_needed(self, context: Context) -> bool:
        """Compare every host's mark, and every master's record."""
        return not is_claimed(context)

    def run(self, context: Context) -> None:
        """Raises ClusterError for a host of another cluster; then none is marked."""
        claim(context)


class CopyStub(HostPhase):
    """It also begins the host's ledger, before anything else is changed there."""

    title: ClassVar[str] = "Copy the installer to the hosts"
    seconds: ClassVar[float] = 2.0  # a host notes how it is

    def moves(self, plan: Plan, host: HostPlan, artifact: Artifact) -> int:
        """The stub."""
        del plan, host
        return artifact.stub_size

    def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
        """Compare the stub by its hashes, and look for the ledger, and whether what it keeps is whole: said now, while a backup may have it."""
        ready = _is_ready(context, connection)
        damaged, mendable = Journal(connection).damaged() if ready else ((), ())
        for left in damaged:
            context.reporter.step(f"{host.address}: a reset will stop at {left.name}, unless this comes back from a backup before: {left.why}")
        return ready and not mendable

    def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
        """Copy, and let the host note how it is."""
        del host
        put_stub(connection, context.artifact, context.reporter)
        Journal(connection).begin(measure=not context.plan.recording)


def _is_ready(context: Context, connection: Connection) -> bool:
    # A log alone says nothing: a power cut may come between its making and the record that the host was measured.
    return has_stub(connection, context.artifact) and Journal(connection).is_begun()
