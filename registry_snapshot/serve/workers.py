"""Workers: threads for what may take long. As many as there is work for, up to a bound; the idle ones go."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)
T = TypeVar("T")

_IDLE_SECONDS = 10.0  # a thread costs 50 KB; making one costs 0.1 ms


class Workers(Generic[T]):
    """Calls ``work`` with each item given to ``submit``, from at most ``bound`` threads; further items wait in order."""

    def __init__(self, work: Callable[[T], None], bound: int, name: str) -> None:
        self._work = work
        self._bound = bound
        self._name = name
        self._items: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._free = 0
        """Threads that wait for an item, less the items that wait for them."""

    @property
    def count(self) -> int:
        """How many threads there are."""
        return len(self._threads)

    @property
    def are_all_busy(self) -> bool:
        """Tell whether items wait, or the next one would."""
        return self._free <= 0 and len(self._threads) >= self._bound

    def submit(self, item: T) -> None:
        """Have ``item`` worked on. Raises RuntimeError if there is no thread and none can be made."""
        with self._lock:
            self._free -= 1
            if self._free < 0 and len(self._threads) < self._bound:
                self._hire()
        self._items.put(item)

    def close(self, seconds: float) -> None:
        """Let what was submitted end, for so long at most. Threads that are still busy then are left to end alone."""
        deadline = time.monotonic() + seconds
        with self._lock:
            threads = list(self._threads)
        for _ in threads:
            self._items.put(None)
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _hire(self) -> None:
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads in this process
            self._threads.discard(thread)
            if not self._threads:
                self._free += 1
                raise
            _log.warning("no further thread: %s", error)
        else:
            self._free += 1

    def _run(self) -> None:
        while True:
            try:
                item = self._items.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._free <= 0:  # an item is on its way to us
                        continue
                    self._free -= 1
                    self._threads.discard(threading.current_thread())
                    return
            if item is None:
                with self._lock:
                    self._threads.discard(threading.current_thread())
                return
            try:
                self._work(item)
            except Exception:  # noqa: BLE001 - a bug of ours; the others must go on
                _log.exception("a worker failed")
            del item  # what it holds must not live until the next one comes
            with self._lock:
                self._free += 1
