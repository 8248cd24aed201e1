"""A timer on masters: the artifact is the store of the site registry for years, and nobody else ever reads all of it."""

from __future__ import annotations

from typing import ClassVar, Final

from installer_stub.changes.things import Kind, Thing
from installer_stub.distro import units
from installer_stub.distro.base import HostFile
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection, read_all
from installer_stub.phases.base import Context, HostPhase
from installer_stub.phases.journal import Journal
from installer_stub.phases.serve_images import ServeImages
from installer_stub.plan.model import HostPlan, Plan

_TEXTS: Final = dict(zip(units.SCRUB_FILES, (units.SCRUB, units.SCRUB_CLOCK), strict=True))
_THINGS: Final = (*(Thing(Kind.FILE, path) for path in _TEXTS), *(Thing(Kind.UNIT, unit) for unit in (units.SCRUB_UNIT, units.SCRUB_TIMER)))
_RUNS: Final = 'systemctl is-enabled --quiet "$1" && systemctl is-active --quiet "$1"'
_START: Final = 'systemctl daemon-reload; systemctl enable --quiet "$1"; systemctl start "$1"'


class ReadAgain(HostPhase):
    """Only the clock is set: the copy was hashed on its way."""

    title: ClassVar[str] = "Have the bundle on the masters read again every week"
    after = (ServeImages,)

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """Masters."""
        return plan.masters

    def things(self, plan: Plan, host: HostPlan) -> tuple[Thing, ...]:
        """The units."""
        del plan, host
        return _THINGS

    def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
        """Compare the units, and look whether the timer runs now and after a boot."""
        del context, host
        there = read_all(connection, _TEXTS)
        if any(there[path] != text.encode() for path, text in _TEXTS.items()):
            return False
        return connection.run(Command.shell(_RUNS, units.SCRUB_TIMER), check=False).ok

    def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
        """Write them and start the timer."""
        del context, host
        journal = Journal(connection)
        journal.remember(*((thing.kind, thing.name) for thing in _THINGS))
        journal.write_all([HostFile(path, text) for path, text in _TEXTS.items()])
        connection.run(Command.shell(_START, units.SCRUB_TIMER, changes="have the bundle read again every week"))
