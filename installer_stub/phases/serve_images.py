"""The site registry: on each master a systemd unit that serves the images out of the ``.run`` itself."""

from __future__ import annotations

from typing import ClassVar, Final

from installer_stub.changes.things import Kind, Thing
from installer_stub.distro import units
from installer_stub.errors import CommandFailed, HostError
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection, write
from installer_stub.phases import registry_authority
from installer_stub.phases.base import Context, HostPhase, Phase
from installer_stub.phases.copy_bundle import CopyBundle, identity
from installer_stub.phases.create_authority import CreateAuthority
from installer_stub.phases.create_credential import CreateCredential
from installer_stub.phases.journal import Journal
from installer_stub.phases.registry_authority import masters
from installer_stub.pki.registry import UNIT
from installer_stub.plan.model import REGISTRY_CA, HostPlan, Plan

# What it started with is what lies there: the unit noted the hashes of the files just before it read them.
_RUNS: Final = """\
systemctl is-active --quiet "$1" || exit 10
systemctl is-enabled --quiet "$1" || exit 10
[ -e "$2" ] || exit 10
sha256sum --status -c "$2" || exit 10
"""
_NO: Final = 10
_THINGS: Final = (Thing(Kind.FILE, units.REGISTRY_UNIT), Thing(Kind.UNIT, UNIT))
# Type=notify: start returns when the registry listens, or fails.
_START: Final = """\
systemctl daemon-reload; systemctl enable --quiet "$1"
systemctl start "$1" || { systemctl status --no-pager --lines=20 "$1" >&2; exit 1; }
"""
_STOP: Final = 'systemctl stop "$1" 2>/dev/null || true'
_IS_ACTIVE: Final = 'systemctl is-active --quiet "$1" || exit 10'


class ServeImages(Phase):
    """Write the unit, start it, wait until it answers. Of the masters, those that need it; one that serves is left alone."""

    title: ClassVar[str] = "Start the site registry"
    after = (CopyBundle, CreateAuthority, CreateCredential)
    seconds: ClassVar[float] = 3.0

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """Masters: nodes go on with what they are at."""
        return plan.masters

    def things(self, plan: Plan, host: HostPlan) -> tuple[Thing, ...]:
        """The unit."""
        del plan, host
        return _THINGS

    def is_needed(self, context: Context) -> bool:
        """The unit's text names stub and bundle, the running one the files it began with."""
        return bool(_wanting(context))

    def run(self, context: Context) -> None:
        """Start those that do not run together, and those that do one after another: hosts go on to pull from the others."""
        wanting = _wanting(context)
        running = context.each(wanting, lambda _host, connection: _says(connection, Command.shell(_IS_ACTIVE, UNIT))) if wanting else {}

        def serve(_host: HostPlan, connection: Connection) -> None:
            _serve(context, connection)

        context.each((host for host in wanting if not running[host.address]), serve)
        for host in wanting:
            if running[host.address]:
                _serve(context, context.connection(host))


class TrustRegistry(HostPhase):
    """Not before every registry shows the certificate of the CA that is trusted from here on."""

    title: ClassVar[str] = "Trust the site registry alone"
    after = (ServeImages,)

    def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
        """Look whether registries may also show certificates of somebody else than the site registry's CA."""
        del host
        return connection.read(REGISTRY_CA) == _authority(context)

    def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
        """Let nobody else be trusted."""
        del host
        write(connection, REGISTRY_CA, _authority(context))


def _serve(context: Context, connection: Connection) -> None:
    journal = Journal(connection)
    journal.remember(*((thing.kind, thing.name) for thing in _THINGS))
    # Stopped before the text changes: a kill in between leaves a unit that visibly does not run.
    connection.run(Command.shell(_STOP, UNIT, changes="stop the site registry"))
    journal.write(units.REGISTRY_UNIT, _unit(context))
    connection.run(Command.shell(_START, UNIT, changes="start the site registry"))


def _wanting(context: Context) -> tuple[HostPlan, ...]:
    """Return the masters whose registry does not run, or not as it should."""
    text = _unit(context).encode()
    look = Command.shell(_RUNS, UNIT, units.REGISTRY_STARTED)
    serving = context.each(
        masters(context), lambda _host, connection: connection.read(units.REGISTRY_UNIT) == text and _says(connection, look)
    )
    return tuple(host for host in masters(context) if not serving[host.address])


def _says(connection: Connection, question: Command) -> bool:
    """Ask for yes (status 0) or no (10). Raises CommandFailed for an answer that is neither."""
    result = connection.run(question, check=False)
    if result.status in {0, _NO}:
        return result.ok
    raise CommandFailed(connection.host.address, f"cannot tell whether {UNIT} runs: {result.stderr.strip()[-300:]}", status=result.status)


def _authority(context: Context) -> bytes:
    master = context.connection(masters(context)[0])
    certificate = master.read(registry_authority.CERTIFICATE)
    if not certificate:
        raise HostError(master.host.address, f"there is no {registry_authority.CERTIFICATE}", "run again: it is made, or another master's is given to it")
    return certificate


def _unit(context: Context) -> str:
    serves = f"{context.plan.bundle.title} {identity(context)[:23]}, stub {context.artifact.stub_digest[:16]}"
    settings = context.plan.settings
    return units.registry(serves=serves, port=settings.registry_port, hidden=[path for _, path in settings.directories])
