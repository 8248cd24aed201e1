"""Put the stub on every host: hosts have no Python and no curl, so the installer itself does the work there."""

from __future__ import annotations

from typing import BinaryIO, ClassVar, cast

from installer_stub.host.checked_stream import CheckedStream
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.claim import claim, is_claimed
from installer_stub.plan import OPT, STATE, STUB, HostPlan


class CopyStub(Phase):
    """First of all phases: it also marks the hosts as ours, and its undo removes the last of us."""

    title: ClassVar[str] = "Copy the installer to the hosts"

    def is_needed(self, context: Context) -> bool:
        """Compare the stub on every host by its hash."""
        if not is_claimed(context):
            return True
        here = context.each(context.plan.hosts, lambda _host, connection: _has(connection, context.artifact.stub_digest))
        return not all(here.values())

    def run(self, context: Context) -> None:
        """Claim the hosts, then copy."""
        claim(context)
        artifact = context.artifact

        def copy(host: HostPlan, connection: Connection) -> None:
            if _has(connection, artifact.stub_digest):
                return
            what = f"installer to {host.address}"
            with CheckedStream(artifact.open_stub(), size=artifact.stub_size, sha256=artifact.stub_digest, what="the installer") as stream:
                connection.put(
                    cast("BinaryIO", stream),
                    STUB,
                    size=artifact.stub_size,
                    mode=0o755,
                    moved=lambda count: context.reporter.moved(what, count, artifact.stub_size),
                )

        context.each(context.plan.hosts, copy)

    def undo(self, context: Context) -> None:
        """Remove what is left of us, the mark that the host is ours last."""
        script = 'rm -rf --one-file-system -- "$@"'
        remove = Command.shell(script, OPT, "/etc/airseal", "/run/airseal", STATE, changes="remove airseal")
        context.each(context.reachable(), lambda _host, connection: connection.run(remove))


def _has(connection: Connection, digest: str) -> bool:
    result = connection.run(Command.of("sha256sum", STUB), check=False)
    return result.ok and result.stdout.split()[:1] == [digest]
