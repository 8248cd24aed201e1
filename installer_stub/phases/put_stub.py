"""The stub on one host: looked for by its hash, and put there."""

from __future__ import annotations

from typing import BinaryIO, cast

from installer_stub.agent.client import AgentConnection
from installer_stub.host.checked_stream import CheckedStream
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.phases.base import Artifact, Reporter
from installer_stub.plan.model import STUB


def has_stub(connection: Connection, digest: str) -> bool:
    """Tell whether the host has the stub of this hash. An agent that was started from it is asked nothing."""
    if isinstance(connection, AgentConnection) and connection.program == digest:
        return True
    result = connection.run(Command.of("sha256sum", STUB), check=False)
    return result.ok and result.stdout.split()[:1] == [digest]


def put_stub(connection: Connection, artifact: Artifact, reporter: Reporter) -> None:
    """Make the host have this version of the stub."""
    if has_stub(connection, artifact.stub_digest):
        return
    what = f"installer to {connection.host.address}"
    with CheckedStream(artifact.open_stub(), size=artifact.stub_size, sha256=artifact.stub_digest, what="the installer") as stream:
        connection.put(
            cast("BinaryIO", stream),
            STUB,
            size=artifact.stub_size,
            mode=0o755,
            moved=lambda count: reporter.moved(what, count, artifact.stub_size),
        )
