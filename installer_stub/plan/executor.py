"""The executor: does a schedule's steps, a lane for each host, as early as their needs allow; and nothing that is not in it.

No lane waits for another host but where a step says so. A step that fails stops everything that has not begun, unless it is
that of a host which may fail alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from typing import Final, Generic, Protocol

from installer_stub.plan.step import C, Key, Schedule, Step

LIMIT: Final = 32  # steps at a time, as host/fanout.py: more connections than that move nothing faster


class Crew(Protocol[C]):
    """Who does the work."""

    def work(self, step: Step[C]) -> None:
        """Do one step, in a thread of its own. Whatever it raises is handed to ``failed``."""

    def is_out(self, host: str) -> bool:
        """Tell whether a host has been left out: its steps are not done, and nobody waits for them."""

    def failed(self, step: Step[C], error: BaseException) -> bool:
        """Take note of a failure. Tell whether the others go on; then the step's host ``is_out``."""

    def waiting(self, running: Iterable[Step[C]]) -> None:
        """Hear that nothing new begins after a failure, and which steps have yet to end."""


class Executor(Generic[C]):
    """Does one schedule, once."""

    def __init__(self, schedule: Schedule[C], crew: Crew[C], *, limit: int = LIMIT) -> None:
        self._left = list(schedule.steps)
        self._crew = crew
        self._limit = limit
        self._ended: set[Key] = set()
        self._running: dict[Key, Step[C]] = {}
        self._news: SimpleQueue[tuple[Step[C], BaseException | None]] = SimpleQueue()

    @property
    def running(self) -> tuple[Step[C], ...]:
        """What is at work now: after Ctrl-C, what was cut."""
        return tuple(self._running.values())

    def run(self) -> bool:
        """Return when all is done, or when after a failure everything that had begun has ended; tell which of both.

        Ctrl-C ends the waiting at once: the threads are daemons, and what they wait for ends with its connection.
        """
        whole = True
        while True:
            if whole:
                for step in tuple(self._ready()):
                    self._begin(step)
            if not self._running:
                return whole
            step, error = self._news.get()
            del self._running[step.key]
            if error is None or self._crew.failed(step, error):
                self._ended.add(step.key)
            elif whole:
                whole = False
                self._crew.waiting(self.running)

    def _ready(self) -> Iterator[Step[C]]:
        """Yield what can begin now: of every lane at most the next step. Steps of hosts that are out end here, undone."""
        taken = {host for step in self._running.values() for host in step.hosts}
        free = self._limit - len(self._running)
        kept: list[Step[C]] = []
        for step in self._left:
            if step.hosts and all(map(self._crew.is_out, step.hosts)):
                self._ended.add(step.key)
                continue
            if free > 0 and taken.isdisjoint(step.hosts) and step.needs <= self._ended:
                free -= 1
                yield step
            else:
                kept.append(step)
            taken.update(step.hosts)
        self._left = kept

    def _begin(self, step: Step[C]) -> None:
        self._running[step.key] = step

        def work() -> None:
            try:
                self._crew.work(step)
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
                self._news.put((step, error))
            else:
                self._news.put((step, None))

        threading.Thread(target=work, name=f"step-{step.key}", daemon=True).start()

