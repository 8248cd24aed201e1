"""How much of the images has come: nobody knows how much there will be, so it is told in lines and not in percent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from installer_stub.phases.reporter import Reporter
from installer_stub.ui.transfer import size

SECONDS: Final = 5.0


class PullProgress:
    """A recorder's ``progress``. Bytes that are fetched again come as negative counts. Safe for threads."""

    def __init__(self, reporter: Reporter, clock: Callable[[], float] = time.monotonic) -> None:
        self._reporter = reporter
        self._clock = clock
        self._lock = threading.Lock()
        self._total = 0
        self._said, self._said_total = clock(), 0

    def __call__(self, count: int) -> None:
        """Count, and say so every few seconds."""
        with self._lock:
            self._total += count
            now = self._clock()
            seconds = now - self._said
            if seconds < SECONDS:
                return
            rate = max(self._total - self._said_total, 0) / seconds
            self._said, self._said_total = now, self._total
            text = f"images: {size(self._total)} pulled, {size(rate)}/s"
        self._reporter.step(text)
