"""The API's name in /etc/hosts, over a connection: for people; masters find themselves, everybody else the first master."""

from __future__ import annotations

from typing import Final

from installer_stub.changes.things import Kind, Thing
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection, write
from installer_stub.host.flush import FLUSH
from installer_stub.keep import document, script
from installer_stub.keep.document import DocumentError
from installer_stub.keep.hosts_file import HOSTS, SAFE, api_address, with_block
from installer_stub.phases.journal import Journal

THINGS: Final = (Thing(Kind.BLOCK, HOSTS),)
# Renamed where that can be done: owner, mode and SELinux's label are those of the file that was there. Over a mount point
# (docker) nothing can be renamed; then it is written in place. The new text lies safe until one of both is on the disk.
_MOVE: Final = FLUSH + """\
part=$2.airseal-part
if cp "$1" "$part" 2>/dev/null; then
  if [ -e "$2" ]; then
    cp --attributes-only --preserve=mode,ownership "$2" "$part"
    cp --attributes-only --preserve=context "$2" "$part" 2>/dev/null || true
  fi
  flush "$part"
fi
mv -fT "$part" "$2" 2>/dev/null || { cat "$1" > "$2"; rm -f "$part"; }
flush "$2"; rm -f "$1"
"""


def points_to(connection: Connection, address: str) -> bool:
    """Tell whether the host already finds the API at ``address``."""
    return api_address(connection.read(HOSTS) or b"") == address


def point(connection: Connection, address: str | None) -> bool:
    """Make the API's name mean ``address`` on the host, or nothing for None. Tell whether anything changed in /etc/hosts.

    The host's document says it too from then on, so that the host does not put the old address back.
    """
    _note(connection, address)
    safe = connection.read(SAFE)  # there where the power went in the middle
    data = safe if safe is not None else connection.read(HOSTS) or b""
    new = with_block(data, address)
    if new == data and safe is None:
        return False
    if address is not None:
        Journal(connection).remember((Kind.BLOCK, HOSTS))
    write(connection, SAFE, new)
    connection.run(Command.shell(_MOVE, SAFE, HOSTS, changes=f"set the API's name in {HOSTS}"))
    return True


def _note(connection: Connection, address: str | None) -> None:
    data = connection.read(document.PATH)
    if data is None:
        return
    try:
        found = document.decode(data)
    except DocumentError:  # PrepareHosts writes it anew; a reset removes it
        return
    changed = found.with_api(address or "")
    if changed != found:
        write(connection, document.PATH, changed.encode())
        write(connection, script.PATH, script.script(changed))
