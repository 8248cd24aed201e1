"""Set aside what others left where the cluster's data will be, as the operator asked with ``--take``; a reset brings it back."""

from __future__ import annotations

import json
from typing import ClassVar, Final

from installer_stub.errors import HostError
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection, write
from installer_stub.membership.record import PATH as MEMBERSHIP
from installer_stub.phases.base import Context, HostPhase
from installer_stub.phases.journal import Journal, Kind
from installer_stub.plan.model import STATE, HostPlan
from installer_stub.preflight.leftovers import ASIDE

RECORD: Final = f"{STATE}/aside.json"
_LIMIT: Final = 65536  # bytes

# Somebody's, or ours from an earlier life: what has the name already keeps it.
_FREE: Final = 'name=$1 number=0; while [ -e "$name" ] || [ -L "$name" ]; do number=$((number + 1)); name=$1.$number; done; echo "$name"'
# $1 directory, $2 where it goes. One rename: whole here or whole there. Nothing is replaced.
_MOVE: Final = """\
[ -d "$1" ] && [ ! -L "$1" ] || exit 0
[ ! -e "$2" ] && [ ! -L "$2" ] || { echo "$2 is there already" >&2; exit 1; }
mv -T -- "$1" "$2"; sync -f "${1%/*}" 2>/dev/null || true
"""


class SetAside(HostPhase):
    """Written down before it is done. What was set aside once is ours to use from then on, and not set aside again."""

    title: ClassVar[str] = "Set aside what others left"

    def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
        """Look for a directory that is to be taken and is not yet written down. Raises HostError."""
        return not _left_to_take(context, host, connection)

    def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
        """Rename them."""
        _take(context, host, connection)


def _left_to_take(context: Context, host: HostPlan, connection: Connection) -> tuple[str, ...]:
    wanted = tuple(path for path in context.take if path in context.leftovers.get(host.address, ()))
    if not wanted:
        return ()
    done = _recorded(connection)
    return tuple(path for path in wanted if path not in done and not _is_ours(connection, path))


def _is_ours(connection: Connection, path: str) -> bool:
    """Tell whether an installation has used the directory already: --take on a finished site must not rename a live cluster away."""
    if connection.read(MEMBERSHIP) is not None:
        return True
    noted = {entry.name for entry in Journal(connection).entries() if entry.kind is Kind.DIRECTORY}
    return any(path == name or path.startswith(f"{name}/") for name in noted)


def _take(context: Context, host: HostPlan, connection: Connection) -> None:
    for path in _left_to_take(context, host, connection):
        aside = connection.run(Command.shell(_FREE, f"{path}{ASIDE}")).stdout.rstrip("\n")
        _record(connection, {**_recorded(connection), path: aside})
        connection.run(Command.shell(_MOVE, path, aside, changes=f"rename {path} to {aside}"))
        context.notes.append(f"{host.address}: what lay in {path} is in {aside} now; a reset renames it back")


def _recorded(connection: Connection) -> dict[str, str]:
    """Return what is written down, by directory. Raises HostError for a record that cannot be read: it is not an empty one."""
    data = connection.read(RECORD)
    if data is None:
        return {}
    try:
        value = json.loads(data[:_LIMIT])
        return {str(path): str(aside) for path, aside in value.items()}
    except (ValueError, AttributeError):
        raise HostError(
            connection.host.address,
            f"{RECORD} is damaged: what was set aside cannot be told from it",
            f"look for directories that end in {ASIDE} there, rename them back by hand, and remove that file",
        ) from None


def _record(connection: Connection, value: dict[str, str]) -> None:
    write(connection, RECORD, json.dumps(value) + "\n", mode=0o600)
