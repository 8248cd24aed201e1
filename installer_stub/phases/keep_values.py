"""The site's values on every master: where CMDs find them, and where the next run reads the secrets again."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import ClassVar, Final

from installer_stub.host.command import Command
from installer_stub.host.connection import Connection, read_all
from installer_stub.phases.base import Context, Phase
from installer_stub.plan.model import HostPlan, Plan
from installer_stub.values.store import DIRECTORY, SECRETS

_PREPARE: Final = 'umask 077; mkdir -p "$1" "$2"; chmod 0700 "$1" "$2"'
# $1 the directory, then what belongs there: a secret that is none any more does not stay.
_SWEEP: Final = """\
directory=$1; shift
cd "$directory" 2>/dev/null || exit 0
for file in *; do
  keep=
  for name in "$@"; do [ "$file" = "$name" ] && keep=1; done
  [ -n "$keep" ] || { [ -f "$file" ] && rm -f -- "$file"; } || true
done
"""


class KeepValues(Phase):
    """Before the application's commands, and on masters that have joined since."""

    title: ClassVar[str] = "Keep the site's values on the masters"

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """A command may run on any of them."""
        return plan.masters

    def is_needed(self, context: Context) -> bool:
        """Compare every file on every master."""
        files = context.values
        if not files:
            return False
        return not all(context.each(self.hosts(context.plan), lambda _host, connection: _same(connection, files)).values())

    def run(self, context: Context) -> None:
        """Write what differs. Killed in between, the next run writes the rest."""
        files = context.values

        def work(_host: HostPlan, connection: Connection) -> None:
            connection.run(Command.shell(_PREPARE, DIRECTORY, SECRETS, changes=f"make {DIRECTORY}"))
            for path, there in read_all(connection, files).items():
                if there != files[path]:
                    connection.put(io.BytesIO(files[path]), path, size=len(files[path]), mode=0o600)
            names = [path.rpartition("/")[2] for path in files if path.startswith(f"{SECRETS}/")]
            connection.run(Command.shell(_SWEEP, SECRETS, *names, changes="remove secrets that are none any more"))

        context.each(self.hosts(context.plan), work)


def _same(connection: Connection, files: Mapping[str, bytes]) -> bool:
    there = read_all(connection, files)
    return all(there[path] == content for path, content in files.items())
