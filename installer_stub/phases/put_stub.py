"""The stub on one host: looked for by its hashes, and put there, beside the one that is there until all of it has come.

It comes as the one file that was verified, and is laid out as one directory of its own (docs/adr/0031): its bytes are copied to
where they belong, every file is hashed, and only then does the name that everything is started by point into the new directory.
Nothing of it is started for that, and nothing unpacks itself on a host.
"""

from __future__ import annotations

import secrets
from typing import BinaryIO, Final, cast

from installer_stub.agent import program
from installer_stub.agent.client import AgentConnection
from installer_stub.agent.homes import home_name
from installer_stub.agent.host_lease import LEASE, PART
from installer_stub.bundle.layout import PROGRAM, Layout
from installer_stub.host.checked_stream import CheckedStream
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.host.flush import FLUSH
from installer_stub.phases.base import Artifact
from installer_stub.phases.reporter import Reporter
from installer_stub.plan.guard import beneath
from installer_stub.plan.model import STUB

# $1 what came, $2 the stub, $3 the lease, $4 the new directory, $5 its identity; stdin: which bytes go where, see recipe().
# Two installers may bring one at once, and one of them has the lease by now: no program is replaced under it. This is asked in
# the same breath as it is done. tail seeks in a file; it says that head has enough.
LAY_OUT: Final = (
    FLUSH
    + r"""
home=${2%/*}/$4
trap 'rm -f -- "$1" "$1.link"; case $(readlink -- "$2") in "$4"/*) ;; *) rm -rf -- "$home" ;; esac' EXIT
trap 'exit 1' HUP INT TERM
umask 022
mkdir -- "$home"
while read -r path offset size; do
  case $path in */*) mkdir -p -- "$home/${path%/*}" ;; esac
  case $offset in
    =) printf "$size" >> "$home/$path" ;;
    *) tail -c "+$((offset + 1))" -- "$1" 2>/dev/null | head -c "$size" >> "$home/$path" ;;
  esac
done
"""
    + f'chmod 0755 "$home/{PROGRAM}"\n'
    + r"""
if command -v restorecon >/dev/null; then restorecon -R "$home" || true; fi
found=$(cd -- "$home"; """
    + program.IDENTITY
    + r""")
[ "$found" = "$5" ] || { echo "what was laid out there is not the installer: its disk answers otherwise than it was told" >&2; exit 1; }
flush $(find "$home")
flush "${2%/*}"
pid=$(sed -n 's/.*"pid": *\([0-9][0-9]*\).*/\1/p' "$3" 2>/dev/null || true)
if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then echo "another run is at work there" >&2; exit 1; fi
"""
    + f'ln -s -- "$4/{PROGRAM}" "$1.link"\n'
    + r"""
mv -fT -- "$1.link" "$2"
flush "${2%/*}"
"""
)


def has_stub(connection: Connection, artifact: Artifact) -> bool:
    """Tell whether the host has this stub, whole. What an agent has read and noted there is not read again while it is as it was."""
    result = connection.run(Command.shell(program.LOOK, STUB, str(program.NOTE), artifact.layout.identity), check=False)
    return result.ok and result.stdout.split()[:1] == [artifact.layout.identity]


def put_stub(connection: Connection, artifact: Artifact, reporter: Reporter) -> None:
    """Make the host have this version of the stub. Raises CommandFailed, also where another run holds the lease by now."""
    if has_stub(connection, artifact):
        return
    what = f"installer to {connection.host.address}"
    token = secrets.token_hex(6)  # of its own: another installer may bring one at the same moment
    part = f"{STUB}{PART}{token}"
    with CheckedStream(artifact.open_stub(), size=artifact.stub_size, sha256=artifact.stub_digest, what="the installer") as stream:
        connection.put(
            cast("BinaryIO", stream),
            part,
            size=artifact.stub_size,
            mode=0o600,
            moved=lambda count: reporter.moved(what, count, artifact.stub_size),
        )
    lease = "" if isinstance(beneath(connection), AgentConnection) else str(LEASE)  # an agent's run holds it itself
    words = (part, STUB, lease, home_name(artifact.stub_digest, token), artifact.layout.identity)
    connection.run(Command.shell(LAY_OUT, *words, changes=f"write {STUB}", stdin=recipe(artifact.layout)))


def recipe(layout: Layout) -> bytes:
    """Return what LAY_OUT reads: a line for each piece, and one with the program's tail, in octal for printf."""
    lines = [f"{piece.path} {piece.offset} {piece.size}" for piece in layout.pieces]
    lines.append(f"{PROGRAM} = " + "".join(f"\\{byte:03o}" for byte in layout.tail))
    return ("\n".join(lines) + "\n").encode()
