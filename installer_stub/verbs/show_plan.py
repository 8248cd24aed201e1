"""``plan``: what an installation would do, step by step and host by host: the same schedule that ``install`` does. Looks only."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from installer_stub.changes.things import Kind
from installer_stub.errors import HostInDoubt, HostLeaving, InstallerError
from installer_stub.phases.base import Context
from installer_stub.phases.pipeline import INSTALL
from installer_stub.phases.runner import view_of
from installer_stub.phases.schedule import PhaseStep, schedule_of
from installer_stub.plan.executor import Executor
from installer_stub.plan.step import Key, Schedule
from installer_stub.ui.summary import plan_text, table
from installer_stub.ui.transfer import duration, size
from installer_stub.verbs.prepare import connected, context_of, prepare
from installer_stub.verbs.session import Session, result, verify

# Bytes a second from the operator's machine to one host, over SSH: a gigabit network, and one core that encrypts.
_BANDWIDTH: Final = 60e6
_KINDS: Final = {
    Kind.FILE: "file(s)",
    Kind.LINK: "place(s) for links",
    Kind.DIRECTORY: "data director(ies)",
    Kind.PARENT: "director(ies)",
    Kind.SYSCTL: "kernel setting(s)",
    Kind.MODULE: "kernel module(s)",
    Kind.UNIT: "unit(s)",
    Kind.BLOCK: "block(s) in files of others",
}
_log = logging.getLogger("airseal.plan")
_MOST_HOSTS: Final = 6  # that a line of the table names


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step, and whether there is anything to do. ``needed`` None: that cannot be told now, and ``doubt`` is why."""

    step: PhaseStep
    needed: bool | None
    hosts: tuple[str, ...]  # their names
    doubt: InstallerError | None = None

    @property
    def unknown(self) -> str:
        """Why it cannot be told now; empty where it can."""
        return self.doubt.problem if self.doubt is not None else ""

    @property
    def stays_unknown(self) -> bool:
        """Whether no step of ours decides it: the host is in doubt."""
        return isinstance(self.doubt, HostInDoubt | HostLeaving)

    @property
    def changes(self) -> bool:
        """Whether it may change anything."""
        return self.needed is not False and not self.step.looks

    def to_json(self) -> dict[str, object]:
        """Return it as machines read it."""
        step = self.step
        return {
            "step": str(step.key),
            "phase": step.title,
            "needed": self.needed,
            "unknown": self.unknown,
            "looks": step.looks,
            "hosts": list(self.hosts),
            "touches": sorted(step.touches),
            "things": {host: sorted(map(str, things)) for host, things in step.things.items() if things} if self.needed is not False else {},
            "after": sorted(map(str, step.needs)),
            "bytes": step.bytes if self.needed is not False else 0,
            "seconds": round(step.seconds + step.bytes / _BANDWIDTH) if self.needed is not False else 0,
        }


def show_plan(run: Session) -> None:
    """Print it. Raises what preparing raises: SiteContradiction, PreflightFailed."""
    sha256 = verify(run)
    with connected(run) as connections:
        surveyed, plan = prepare(run, connections)
        context = context_of(run, surveyed, plan, sha256)
        schedule = schedule_of(INSTALL, plan, context.artifact)
        steps = planned(context, schedule)
    text = f"{plan_text(plan)}\n\n{planned_text(steps, schedule)}"
    before = surveyed.before
    epoch = {"cluster": surveyed.record.cluster, "epoch": surveyed.record.epoch, "recorded": before.epoch if before else None}
    result(run, text, steps=[each.to_json() for each in steps], record=epoch, hosts=len(plan.hosts))


def planned(context: Context, schedule: Schedule[Context]) -> tuple[PlannedStep, ...]:
    """Return every step with what it would do. One that cannot tell before an earlier one ran is left to that one."""
    names = {host.address: host.name for host in context.plan.hosts}
    crew = _Looking(context)
    # By the executor too: hosts side by side, but one look at a time on each. sshd lets a connection have ten sessions (MaxSessions).
    Executor(schedule, crew).run()
    return tuple(PlannedStep(step, crew.needed[step.key], tuple(names[host] for host in step.hosts), crew.doubts.get(step.key)) for step in schedule.steps)


def planned_text(steps: Sequence[PlannedStep], schedule: Schedule[Context]) -> str:
    """Return a table of all phases with the hosts on which something is to be done, and the sums."""
    rows = [("#", "phase", "does", "hosts", "bytes", "about")]
    something = False  # to do in a phase before: it may decide what cannot be told yet
    doubts: list[str] = []
    for number, group in groupby(steps, key=lambda each: each.step.key.phase):
        own = tuple(group)
        active = [each for each in own if each.needed is not False]
        hosts = list(dict.fromkeys(name for each in active for name in each.hosts))
        shown = ", ".join(hosts[:_MOST_HOSTS]) + (f" and {len(hosts) - _MOST_HOSTS} more" if len(hosts) > _MOST_HOSTS else "")
        moved, seconds = sum(each.step.bytes for each in active), _seconds(active)
        doubts += [f"{own[0].step.title}: {each.unknown}" for each in active if each.needed is None and (each.stays_unknown or not something)]
        rows.append((str(number), own[0].step.title, _does(active, something=something), shown, size(moved) if moved else "", f"{seconds:.0f} s" if seconds >= 1 else ""))
        something = something or any(each.needed and each.changes for each in active)
    if not any(each.changes for each in steps):
        return f"{table(rows)}\n\nNothing would be changed."
    untold = "\n".join(("\nCannot be told now, and nothing that comes before decides it:", *(f"  {each}" for each in doubts))) if doubts else ""
    things = Counter(thing.kind for each in steps if each.changes for found in each.step.things.values() for thing in found)
    kinds = ", ".join(f"{count} {_KINDS[kind]}" for kind, count in sorted(things.items()))
    named = f"\nOn the hosts it touches at most {kinds}; a reset puts them back. With --json each is named." if kinds else ""
    total = schedule.seconds(_BANDWIDTH, skip=frozenset(each.step.key for each in steps if each.needed is False))
    moved = sum(each.step.bytes for each in steps if each.needed is not False)
    return f"{table(rows)}\n\nIn all {size(moved)} to send, about {duration(total)}: hosts do not wait for each other. Nothing was changed.{named}{untold}"


def _does(active: Sequence[PlannedStep], *, something: bool) -> str:
    if not active:
        return "nothing to do"
    if all(each.step.looks for each in active):
        return "looks"
    if any(each.needed for each in active):
        return "yes"
    return "if earlier phases change anything" if something else "cannot be told"


def _seconds(active: Sequence[PlannedStep]) -> float:
    """Return about how long a phase takes: its steps side by side, or one after the other where they need each other."""
    keys = {one.step.key for one in active}
    one_by_one = any(one.step.needs & keys for one in active)
    each = [one.step.seconds + one.step.bytes / _BANDWIDTH for one in active]
    return sum(each) if one_by_one else max(each, default=0.0)


class _Looking:
    """A crew that only looks. What cannot be told now is no failure: an earlier step decides it, or the plan says why."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.needed: dict[Key, bool | None] = {}
        self.doubts: dict[Key, InstallerError] = {}

    def work(self, step: PhaseStep) -> None:
        """Look whether there is anything to do."""
        try:
            self.needed[step.key] = step.looks or not step.work.is_done(view_of(self._context, step, looking=True))
        except InstallerError as error:
            _log.info("%s %s cannot tell yet: %s", step.title, step.key, error.problem)
            self.needed[step.key], self.doubts[step.key] = None, error

    def is_out(self, host: str) -> bool:
        """Every host of the plan is looked at."""
        del host
        return False

    def failed(self, step: PhaseStep, error: BaseException) -> bool:
        """Any other error is a mistake of ours, or Ctrl-C."""
        del step
        raise error

    def waiting(self, running: Iterable[PhaseStep]) -> None:
        """Nothing is waited for."""
