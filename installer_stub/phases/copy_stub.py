"""Put the stub on every host: hosts have no Python and no curl, so the installer itself does the work there."""

from __future__ import annotations

from typing import ClassVar, Final

from installer_stub.host.connection import Connection
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.claim import claim, is_claimed
from installer_stub.phases.journal import Journal
from installer_stub.phases.put_stub import has_stub, put_stub
from installer_stub.plan.model import STATE, HostPlan

_LOG: Final = f"{STATE}/ledger/log"


class CopyStub(Phase):
    """It also marks the hosts as ours and begins their ledgers, before anything else is changed there."""

    title: ClassVar[str] = "Copy the installer to the hosts"

    def is_needed(self, context: Context) -> bool:
        """Compare the stub on every host by its hash, and look for the ledger."""
        if not is_claimed(context):
            return True
        here = context.each(context.plan.hosts, lambda _host, connection: _is_ready(context, connection))
        return not all(here.values())

    def run(self, context: Context) -> None:
        """Claim the hosts, copy, and let each host note how it is."""
        claim(context)

        def prepare(_host: HostPlan, connection: Connection) -> None:
            put_stub(connection, context.artifact, context.reporter)
            if connection.read(_LOG) is None:
                Journal(connection).begin(measure=not context.plan.recording)

        context.each(context.plan.hosts, prepare)


def _is_ready(context: Context, connection: Connection) -> bool:
    return has_stub(connection, context.artifact.stub_digest) and connection.read(_LOG) is not None
