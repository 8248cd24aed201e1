"""Put the stub on every host: hosts have no Python and no curl, so the installer itself does the work there."""

from __future__ import annotations

from typing import BinaryIO, ClassVar, Final, cast

from installer_stub.host.checked_stream import CheckedStream
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.claim import claim, is_claimed
from installer_stub.phases.journal import Journal
from installer_stub.plan import STATE, STUB, HostPlan

_LOG: Final = f"{STATE}/ledger/log"


class CopyStub(Phase):
    """First of all phases: it also marks the hosts as ours and begins their ledgers, before anything else is changed there."""

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
            put_stub(context, connection)
            if connection.read(_LOG) is None:
                Journal(connection).begin(measure=not context.plan.recording)

        context.each(context.plan.hosts, prepare)


def put_stub(context: Context, connection: Connection) -> None:
    """Make the host have this version of the stub."""
    artifact = context.artifact
    if _has(connection, artifact.stub_digest):
        return
    what = f"installer to {connection.host.address}"
    with CheckedStream(artifact.open_stub(), size=artifact.stub_size, sha256=artifact.stub_digest, what="the installer") as stream:
        connection.put(
            cast("BinaryIO", stream),
            STUB,
            size=artifact.stub_size,
            mode=0o755,
            moved=lambda count: context.reporter.moved(what, count, artifact.stub_size),
        )


def _has(connection: Connection, digest: str) -> bool:
    result = connection.run(Command.of("sha256sum", STUB), check=False)
    return result.ok and result.stdout.split()[:1] == [digest]


def _is_ready(context: Context, connection: Connection) -> bool:
    return _has(connection, context.artifact.stub_digest) and connection.read(_LOG) is not None
