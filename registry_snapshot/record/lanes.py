"""Lanes: threads that do queued work, what a client waits for before what nobody waits for.

An image of thirty gigabytes that is completed in the background must not keep a node waiting for a config of 2 KB: urgent
work goes first, and some threads do nothing else. The threads are few and fixed, so no upstream sees more connections
than their number.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

Work = Callable[[], object]


class Lanes:
    """``ordinary`` threads for all work and ``reserved`` ones for urgent work only. Started when they are needed."""

    def __init__(self, ordinary: int, reserved: int, name: str) -> None:
        self._free = {False: 0, True: 0}  # threads that wait for work, those for urgent work only under True
        self._may_start = {False: ordinary, True: reserved}
        self._name = name
        self._urgent: deque[Work] = deque()
        self._later: deque[Work] = deque()
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self._changed = threading.Condition()

    def submit(self, work: Work, *, urgent: bool) -> bool:
        """Have ``work`` done, which must not raise; False if that will not happen since the lanes are closed."""
        with self._changed:
            if self._stopping:
                return False
            (self._urgent if urgent else self._later).append(work)
            self._ensure_thread(urgent=urgent)
            self._changed.notify_all()
            return True

    def close(self) -> None:
        """Return once all work that was taken is done."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _ensure_thread(self, *, urgent: bool) -> None:
        kinds = (False, True) if urgent else (False,)
        waiting = len(self._urgent) + (0 if urgent else len(self._later))
        if waiting <= sum(self._free[kind] for kind in kinds):
            return
        for kind in kinds:
            if self._may_start[kind]:
                self._may_start[kind] -= 1
                thread = threading.Thread(target=self._run, args=(kind,), name=self._name, daemon=True)
                self._threads.append(thread)
                thread.start()
                return

    def _run(self, only_urgent: bool) -> None:  # noqa: FBT001 - the argument of a thread
        while (work := self._next(only_urgent=only_urgent)) is not None:
            work()

    def _next(self, *, only_urgent: bool) -> Work | None:
        with self._changed:
            self._free[only_urgent] += 1
            try:
                while True:
                    if self._urgent:
                        return self._urgent.popleft()
                    if self._later and not only_urgent:
                        return self._later.popleft()
                    if self._stopping:
                        return None
                    self._changed.wait()
            finally:
                self._free[only_urgent] -= 1
