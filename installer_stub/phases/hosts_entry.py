"""The API's name in /etc/hosts: masters find themselves, everybody else the first master (docs/adr/0005)."""

from __future__ import annotations

from typing import Final

from installer_stub.host.command import Command
from installer_stub.host.connection import Connection, write
from installer_stub.phases.journal import Journal, Kind
from installer_stub.plan import API_NAME, STATE

HOSTS: Final = "/etc/hosts"
_BEGIN: Final = "# airseal begin"
_END: Final = "# airseal end"
_SAFE: Final = f"{STATE}/hosts.new"


def with_block(text: str, address: str | None) -> str:
    """Return ``text`` with our marked block naming ``address``, or without any block for None. Other lines stay."""
    kept = [line for line in text.splitlines() if line.strip() not in {_BEGIN, _END} and API_NAME not in line.split()]
    if address is not None:
        kept += [_BEGIN, f"{address} {API_NAME}", _END]
    return "\n".join(kept) + "\n" if kept else ""


def api_address(text: str) -> str:
    """Return the address that the API's name has in ``text``, or an empty text."""
    lines = (line.split() for line in text.splitlines())
    return next((words[0] for words in lines if API_NAME in words[1:]), "")


def points_to(connection: Connection, address: str) -> bool:
    """Tell whether the host already finds the API at ``address``."""
    return api_address(_read(connection)) == address


def point(connection: Connection, address: str | None) -> bool:
    """Make the API's name mean ``address`` on the host, or nothing for None. Tell whether anything changed.

    Written in place: docker mounts /etc/hosts as a file, over which nothing can be renamed. The new text lies safe on
    disk first, so that a power cut between emptying and writing does not lose the lines of others.
    """
    text = _read(connection)
    if not text.strip():
        text = (connection.read(_SAFE) or b"").decode("latin-1")
    new = with_block(text, address)
    if new == text and _read(connection):
        return False
    if address is not None:
        Journal(connection).remember((Kind.BLOCK, HOSTS))
    write(connection, _SAFE, new.encode("latin-1"))
    script = 'cat "$1" > "$2"; sync "$2"'
    connection.run(Command.shell(script, _SAFE, HOSTS, changes=f"set {API_NAME} in {HOSTS}"))
    return True


def _read(connection: Connection) -> str:
    return (connection.read(HOSTS) or b"").decode("latin-1")  # whatever the comments of others are written in
