"""Undoing everything on this host, from the ledger alone: no bundle, no plan, no connection. Safe to stop and begin again.

Order: the host says that it is leaving; units stop, containers end, what they mounted goes; then files and directories,
last change first; then rules, settings and modules; then units as they were; then the host is measured. Only when nothing is
left do we leave too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from installer_stub.changes.machine import Machine
from installer_stub.changes.things import Kind, Thing
from installer_stub.distro.paths import CONFIGURATION, ETCD, KUBELET
from installer_stub.errors import InstallerError, LedgerDamaged, LedgerError, NotPutBack
from installer_stub.ledger import cluster_remains
from installer_stub.ledger.aside import give_back
from installer_stub.ledger.containers import Processes, end_containers
from installer_stub.ledger.difference import compare
from installer_stub.ledger.going import finish, remove_ourselves
from installer_stub.ledger.importing import import_journal, was_changed
from installer_stub.ledger.ledger import Entry, Ledger
from installer_stub.ledger.opening import before_snapshot
from installer_stub.ledger.put_back import is_own_directory, put_back
from installer_stub.ledger.record import Step
from installer_stub.ledger.report import Left, Report
from installer_stub.ledger.snapshot import Snapshot, take
from installer_stub.ledger.unnoted import end_units, set_units_aside
from installer_stub.membership import leaving
from installer_stub.plan.model import STATE, STUB

_MEMBERS: Final = frozenset({"units", "containers", CONFIGURATION, KUBELET, ETCD})
_TASKS: Final = "airseal-*"
_PODS: Final = "kubepods*"


@dataclass(slots=True)
class Undo:
    """One run of it. ``say`` is told what happens, a line at a time."""

    ledger: Ledger
    processes: Processes
    say: Callable[[str], None]
    abandoned: frozenset[str]
    report: Report = field(default_factory=Report)
    _notes: list[tuple[Thing, str]] = field(default_factory=list)
    _unnoted: tuple[str, ...] = ()

    def run(self) -> Report:
        """Do all of it. Never raises for what can be named in the report instead."""
        if not self._say_leaving():
            return self.report
        before = self._before()
        self._stage("units", self._stop_units)
        self._stage("containers", self._end_containers)
        alive = {left.name for left in self.report.left} & {"units", "containers"}
        self._stage("mounts", lambda: cluster_remains.unmount(self.machine, before, self._own_directories()))
        self._stage("runtime", lambda: cluster_remains.remove_runtime(self.machine, before))
        self._stage("links", lambda: cluster_remains.remove_links(self.machine, before))
        self._entries(blocked=bool(alive))
        self._stage("names", lambda: cluster_remains.remove_names(self.machine))
        self._stage("aside", lambda: give_back(self.ledger))
        self._stage("rules", lambda: cluster_remains.remove_rules(self.machine, before))
        self._stage("settings", lambda: cluster_remains.restore_settings(self.machine, before))
        self._stage("modules", lambda: cluster_remains.unload_modules(self.machine, before))
        self._stage("units", self._set_units_aside)
        self._units_as_before()
        self._say_notes()
        self._measure(before)
        if not self.report.left:
            self._stage("airseal", lambda: remove_ourselves(self.ledger))
        elif not {left.name for left in self.report.left} & (_MEMBERS | self._own_directories()):
            self._stage("membership", self._forget_membership)
        self.report.complete = not self.report.left
        return self.report

    @property
    def machine(self) -> Machine:
        """The host."""
        return self.ledger.machine

    def entries_only(self) -> Report:
        """Put the noted things back and nothing else; nothing of ours is removed."""
        self._entries(blocked=False)
        self._units_as_before()
        self._say_notes()
        return self.report

    def _own_directories(self) -> frozenset[str]:
        """Return where this site has its data, beside the usual places."""
        return frozenset(entry.thing.name for entry in self.ledger.entries if is_own_directory(entry))

    def _before(self) -> Snapshot | None:
        try:
            return before_snapshot(self.ledger)
        except InstallerError as error:
            self._left("snapshot", error)
            return None

    def _stage(self, name: str, work: Callable[[], Sequence[str]]) -> None:
        try:
            self.report.undone += work()
        except InstallerError as error:
            self._left(name, error)
        except OSError as error:
            self._left(name, NotPutBack(f"{error.filename or ''} {error.strerror}".strip(), "see why the host refuses it, then run reset again"))

    def _left(self, name: str, error: InstallerError) -> None:
        self.say(f"{name}: {error.problem}")
        if name in self.abandoned:
            self.report.abandoned.append(f"{name}: {error.problem}")
        else:
            self.report.left.append(Left(name, error.problem, error.remedy))

    def _stop_units(self) -> list[str]:
        units = self.machine.units
        for entry in reversed(self.ledger.entries):
            if entry.thing.kind is not Kind.UNIT or not entry.is_open:
                continue
            state = units.state(entry.thing.name)
            # Disabled while its file is still ours: afterwards systemd would not find the links that it made.
            if state.startswith("enabled ") and not entry.before.value.startswith("enabled"):
                units.do("disable", entry.thing.name)
            if state.endswith(" active"):
                self.say(f"stopping {entry.thing.name}")
                units.do("stop", entry.thing.name)
        self._unnoted = end_units(self.ledger, self.say)
        self.machine.programs.run(STUB, "host", "release")  # the route to services, which is in no file; the difference tells
        own = self._own_unit()
        for name in units.listed(_TASKS):
            if not name.endswith(".slice") and name not in own:
                units.do("stop", name)
                with contextlib.suppress(NotPutBack):  # only a failed one has something to reset
                    units.do("reset-failed", name)
        return []

    def _end_containers(self) -> list[str]:
        count = end_containers(self.processes)
        for name in self.machine.units.listed(_PODS):  # with the systemd driver, systemd made their cgroups
            with contextlib.suppress(NotPutBack):  # its scopes end by themselves, and the difference names a slice that stays
                self.machine.units.do("stop", name)
        return [f"{count} cgroups of pods"] if count else []

    def _own_unit(self) -> str:
        """Return the cgroups that we are in ourselves: stopping one of them would end this undo."""
        with contextlib.suppress(OSError):
            return self.machine.disk.at("/proc/self/cgroup").read_text()
        return ""

    def _entries(self, *, blocked: bool) -> None:
        for entry in sorted(self.ledger.entries, key=_order):
            if not entry.is_open or entry.thing.kind is Kind.UNIT:
                continue
            if blocked and entry.thing.kind is Kind.DIRECTORY:
                self._left(entry.thing.name, NotPutBack("not touched, for containers may still use it", "see above"))
                continue
            self._entry(entry)

    def _say_notes(self) -> None:
        """Of directories that others' files kept, those that did not go with the directory above them; and what the ledger lost."""
        if what := self.ledger.what_is_lost:
            self.report.notes.append(f"records of this host's ledger were lost ({what}): what they named stays as it is")
        gone = {thing for thing, _ in self._notes if thing.kind is Kind.PARENT and not self.machine.disk.at(thing.name).exists()}
        self.report.notes += [f"{thing}: {note}" for thing, note in self._notes if thing not in gone]

    def _say_leaving(self) -> bool:
        """Write down what begins here. Tell whether to go on: what nobody would know of is not begun."""

        def say() -> list[str]:
            leaving.begin(self.machine.disk, self.ledger.state)
            return []

        self._stage("membership", say)
        return not self.report.left

    def _forget_membership(self) -> list[str]:
        """What is left is nothing of the cluster: an installation may begin anew."""
        leaving.end(self.machine.disk, self.ledger.state)
        return []

    def _entry(self, entry: Entry) -> None:
        try:
            note = put_back(self.ledger, entry)
            self.ledger.note(Step.UNDONE, entry.thing, note=note)
        except InstallerError as error:
            self._left(entry.thing.name, error)
            return
        self.report.undone.append(str(entry.thing))
        if note:
            self._notes.append((entry.thing, note))

    def _set_units_aside(self) -> list[str]:
        self.report.notes += set_units_aside(self.machine, self._unnoted)
        return []

    def _units_as_before(self) -> None:
        entries = [entry for entry in self.ledger.entries if entry.thing.kind is Kind.UNIT and entry.is_open]
        if not entries:
            return
        try:
            self.machine.units.do("daemon-reload")
        except InstallerError as error:
            self._left("units", error)
            return
        for entry in entries:
            self._entry(entry)

    def _measure(self, before: Snapshot | None) -> None:
        if before is None:
            return
        self.say("measuring the host")
        self.report.difference = [str(each) for each in compare(before, take(self.machine))]
        self.report.measured = True


def _order(entry: Entry) -> tuple[int, int]:
    """The last change first, and directories after all that stands in them, whichever was noted first."""
    return {Kind.PARENT: 1, Kind.DIRECTORY: 2}.get(entry.thing.kind, 0), -entry.number


def undo_host(
    machine: Machine,
    *,
    state: str = STATE,
    abandon: Sequence[str] = (),
    say: Callable[[str], None] = lambda _line: None,
    processes: Processes | None = None,
) -> Report:
    """Undo everything. Raises LedgerDamaged where what was changed is not known."""
    if machine.disk.at(f"{state}/ledger.closed").exists():
        return finish(machine, state)
    report: Report | None = None
    try:
        with Ledger.opened(machine, state, forget_lost="ledger" in abandon) as ledger:
            _require_ledger(ledger, abandoned="ledger" in abandon)
            undo = Undo(ledger, processes or Processes(), say, frozenset(abandon))
            undo.report.abandoned += abandon_by_name(ledger, abandon)
            report = undo.run()
    except LedgerError as error:
        if report is None:
            raise
        report.left.append(Left("sign", error.problem, error.remedy))
        report.complete = False
    return report


def _require_ledger(ledger: Ledger, *, abandoned: bool) -> None:
    """Raise LedgerDamaged where airseal changed this host and no record says so; ``abandoned``: a person knows, and it is noted."""
    imported = import_journal(ledger)
    if ledger.log.records or imported or not (proof := was_changed(ledger.machine)):
        return
    if not abandoned:
        raise LedgerDamaged(
            f"{ledger.directory}/log is missing, and airseal changed this host: there is {proof}",
            "put it back from a backup; without it nothing is put back, and only airseal's own places go: --abandon ledger",
        )
    ledger.lose(f"all of them: there is {proof}")


def abandon_by_name(ledger: Ledger, names: Sequence[str]) -> list[str]:
    """Note that things stay as they are, because a person said so by name. Names of other hosts' things are none here."""
    found = [entry.thing for entry in ledger.entries if entry.thing.name in names and entry.is_open]
    for thing in found:
        ledger.note(Step.ABANDONED, thing)
    return [str(thing) for thing in found]
