"""Run phases: their steps, a lane for each host. Undoing is the hosts' own: ``phases/reset_hosts.py``."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from installer_stub.errors import HostError, InstallerError, Interrupted, LedgerError
from installer_stub.host.connection import Connection
from installer_stub.host.fanout import raise_any
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.schedule import PhaseStep, schedule_of
from installer_stub.plan.executor import Executor
from installer_stub.plan.guard import Guarded
from installer_stub.ui.console import phase_line

AGAIN: Final = "run the same command again: finished steps are skipped"


def run(phases: Iterable[Phase], context: Context) -> None:
    """Do every step that is needed. The first error names its phase and leaves the hosts as they are.

    Nothing is undone: the next run goes on from there, and what it would begin with is worth looking at. Steps that had
    begun on other hosts end first. Raises what a phase raises, HostsFailed for several, and Interrupted for Ctrl-C.
    """
    listed = tuple(phases)
    schedule = schedule_of(listed, context.plan, context.artifact)
    crew = _Crew(context, schedule.steps, len(listed))
    executor = Executor(schedule, crew)
    try:
        whole = executor.run()
    except KeyboardInterrupt as stop:
        titles = dict.fromkeys(step.title for step in executor.running)
        raise Interrupted(f"stopped during: {', '.join(titles)}", AGAIN) from stop
    if not whole:
        raise_any(crew.errors())


def view_of(context: Context, step: PhaseStep, *, looking: bool) -> Context:
    """Return ``context`` as ``step`` has it: it reaches every host, and changes those that the schedule says, or none if ``looking``."""

    def refusal(address: str) -> str:
        if step.looks:
            return f"{step.title!r} only looks"
        if looking:
            return f"{step.title!r} was looking whether it has anything to do"
        return "" if address in step.touches else f"the plan of {step.title!r} does not name this host"

    def guarded(address: str, connection: Connection) -> Connection:
        return Guarded(connection, refusal(address), step.things.get(address, frozenset()))

    connections = {address: guarded(address, each) for address, each in list(context.connections.items())}
    return replace(context, connections=connections)


class _Crew:
    """Looks at a step's hosts, does it where there is something to do, and tells of it by phases."""

    def __init__(self, context: Context, steps: Iterable[PhaseStep], phases: int) -> None:
        self._context = context
        self._phases = phases
        self._left = Counter(step.key.phase for step in steps)
        self._said: set[int] = set()
        self._lock = threading.Lock()
        self._failures: list[tuple[str, BaseException]] = []

    def work(self, step: PhaseStep) -> None:
        """Look, and do. What nodes report of themselves reaches the others through the context that all steps share."""
        if step.looks or not step.work.is_done(view_of(self._context, step, looking=True)):
            self._begins(step)
            if not step.looks:
                self._context.worked.append(step.title)
            view = view_of(self._context, step, looking=step.looks)
            record, speaking = view.record, view.speaking
            step.work.do(view)
            # Only what this step came to know: another one may have ended meanwhile, and known better.
            if view.record is not record:
                self._context.record = view.record
            if view.speaking is not speaking:
                self._context.speaking = view.speaking
        self._ends(step)

    def is_out(self, host: str) -> bool:
        """Tell whether the context goes on without the host."""
        return host in self._context.left_out

    def failed(self, step: PhaseStep, error: BaseException) -> bool:
        """Leave a node out that may fail alone; remember everything else."""
        host = step.key.host
        its_own = isinstance(error, LedgerError) or (isinstance(error, HostError) and error.host == host)
        if isinstance(error, InstallerError) and its_own and self._context.may_leave_out(host):
            error.problem = f"{step.title}: {error.problem}"
            self._context.leave_out(host, error)
            self._ends(step)
            return True
        self._failures.append((step.title, error))
        return False

    def waiting(self, running: Iterable[PhaseStep]) -> None:
        """Say what went wrong and what is waited for, if anything is."""
        hosts = dict.fromkeys(host for step in running for host in step.hosts)
        if hosts:
            said = self._failures[-1][1]
            problem = said.problem if isinstance(said, InstallerError) else type(said).__name__
            self._context.reporter.step(f"{problem}\nletting what is under way on {', '.join(hosts)} end")

    def errors(self) -> list[Exception]:
        """Return what went wrong, each with the phase it belongs to. Raises Interrupted for Ctrl-C."""
        found: list[Exception] = []
        for title, error in self._failures:
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted(f"stopped during: {title}", AGAIN) from error
            if not isinstance(error, Exception):
                raise error
            if isinstance(error, InstallerError):
                error.problem = f"{title}: {error.problem}"
                error.remedy = _and_again(error.remedy)
            else:
                error.add_note(f"during: {title}")
            found.append(error)
        return found

    def _begins(self, step: PhaseStep) -> None:
        with self._lock:
            if step.key.phase not in self._said:
                self._said.add(step.key.phase)
                self._context.reporter.step(phase_line(step.key.phase, self._phases, step.title))

    def _ends(self, step: PhaseStep) -> None:
        with self._lock:
            self._left[step.key.phase] -= 1
            if not self._left[step.key.phase] and step.key.phase not in self._said:
                self._context.reporter.step(f"{phase_line(step.key.phase, self._phases, step.title)}: nothing to do")


def _and_again(remedy: str) -> str:
    """Return what to do, and to run again at its end: said once."""
    if "run the same command again" in remedy:
        return remedy
    return f"{remedy}; then {AGAIN}" if remedy else AGAIN
