"""The site registry: on each master a systemd unit that serves the images out of the ``.run`` itself."""

from __future__ import annotations

from typing import ClassVar, Final

from installer_stub.distro import units
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.copy_bundle import identity
from installer_stub.phases.create_authority import CERTIFICATE, KEY
from installer_stub.phases.journal import Journal, Kind
from installer_stub.plan import CREDENTIAL, HostPlan

UNIT: Final = "airseal-registry.service"
# Type=notify: start returns when the registry listens, or fails.
_START: Final = """\
systemctl daemon-reload; systemctl enable --quiet "$1"
systemctl start "$1" || { systemctl status --no-pager --lines=20 "$1" >&2; exit 1; }
"""
_STOP: Final = 'systemctl stop "$1" 2>/dev/null || true'


class ServeImages(Phase):
    """Write the unit, start it, wait until it answers."""

    title: ClassVar[str] = "Start the site registry"

    def is_needed(self, context: Context) -> bool:
        """The unit's text names stub, bundle, certificate and login; an equal text and an active unit mean that the right one runs."""
        ready = context.each(
            context.plan.masters,
            lambda _host, connection: connection.read(units.REGISTRY_UNIT) == _unit(context, connection).encode()
            and connection.run(Command.of("systemctl", "is-active", UNIT), check=False).ok
            and connection.run(Command.of("systemctl", "is-enabled", UNIT), check=False).ok,
        )
        return not all(ready.values())

    def run(self, context: Context) -> None:
        """Start it on all masters."""

        def serve(_host: HostPlan, connection: Connection) -> None:
            journal = Journal(connection)
            journal.remember((Kind.FILE, units.REGISTRY_UNIT), (Kind.UNIT, UNIT))
            # Stopped before the text changes: a kill in between leaves a unit that visibly does not run.
            connection.run(Command.shell(_STOP, UNIT, changes="stop the site registry"))
            journal.write(units.REGISTRY_UNIT, _unit(context, connection))
            connection.run(Command.shell(_START, UNIT, changes="start the site registry"))

        context.each(context.plan.masters, serve)

    def undo(self, context: Context) -> None:
        """Stop it; the journal removes the unit."""
        script = 'systemctl disable --now "$1" 2>/dev/null || true'
        stop = Command.shell(script, UNIT, changes="stop the site registry")
        context.each(context.reachable(context.plan.masters), lambda _host, connection: connection.run(stop))


def _unit(context: Context, connection: Connection) -> str:
    certificate = connection.run(Command.of("sha256sum", CERTIFICATE), check=False).stdout.split()[:1]
    # Which file the login is, not what it holds: a unit is there for everybody to read.
    login = connection.run(Command.of("stat", "-c", "%i.%Y", CREDENTIAL), check=False).stdout.strip()
    serves = (
        f"{context.plan.bundle.title} {identity(context)[:23]}, stub {context.artifact.stub_digest[:16]}, "
        f"certificate {''.join(certificate)[:16]}, login file {login}"
    )
    return units.registry(certificate=CERTIFICATE, key=KEY, credential=CREDENTIAL, serves=serves)
