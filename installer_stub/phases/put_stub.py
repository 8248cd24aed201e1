"""The stub on one host: looked for by its hash, and put there, beside the one that is there until all of it has come."""

from __future__ import annotations

import secrets
from typing import BinaryIO, Final, cast

from installer_stub.agent import program
from installer_stub.agent.client import AgentConnection
from installer_stub.agent.host_lease import LEASE, PARTS
from installer_stub.host.checked_stream import CheckedStream
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.host.flush import FLUSH
from installer_stub.phases.base import Artifact, Reporter
from installer_stub.plan.guard import beneath
from installer_stub.plan.model import STUB

# $1 what came, $2 the stub, $3 the lease. Two installers may bring it at once, and one of them has the lease by now: no
# program is replaced under it. This is asked in the same breath as it is done.
RENAME: Final = (
    FLUSH
    + r"""
pid=$(sed -n 's/.*"pid": *\([0-9][0-9]*\).*/\1/p' "$3" 2>/dev/null || true)
if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then
  rm -f -- "$1"
  echo "another run is at work there" >&2; exit 1
fi
mv -f -- "$1" "$2"
flush "${2%/*}"
"""
)


def has_stub(connection: Connection, digest: str) -> bool:
    """Tell whether the host has the stub of this hash. An agent knows its own, and only looks whether it still stands there."""
    agent = beneath(connection)
    if isinstance(agent, AgentConnection) and agent.program == digest:
        return connection.run(Command.of("stat", "-c", "%d:%i", STUB), check=False).stdout.strip() == agent.inode
    result = connection.run(Command.shell(program.LOOK, STUB, str(program.NOTE), digest), check=False)
    return result.ok and result.stdout.split()[:1] == [digest]


def put_stub(connection: Connection, artifact: Artifact, reporter: Reporter) -> None:
    """Make the host have this version of the stub. Raises CommandFailed, also where another run holds the lease by now."""
    if has_stub(connection, artifact.stub_digest):
        return
    what = f"installer to {connection.host.address}"
    part = f"{PARTS}{secrets.token_hex(6)}"  # of its own: another installer may bring one at the same moment
    with CheckedStream(artifact.open_stub(), size=artifact.stub_size, sha256=artifact.stub_digest, what="the installer") as stream:
        connection.put(
            cast("BinaryIO", stream),
            part,
            size=artifact.stub_size,
            mode=0o755,
            moved=lambda count: reporter.moved(what, count, artifact.stub_size),
        )
    lease = "" if isinstance(beneath(connection), AgentConnection) else str(LEASE)  # an agent's run holds it itself
    connection.run(Command.shell(RENAME, part, STUB, lease, changes=f"write {STUB}"))
