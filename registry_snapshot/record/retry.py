"""When to ask an upstream again, and how long to wait before.

A wait that the upstream asks for (``Retry-After``) holds back every request to it, not only the one that was refused:
a hundred clients that each come back alone keep a rate limit shut for ever.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from registry_snapshot.errors import UpstreamError

ATTEMPTS = 6
FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
LONGEST_RETRY_AFTER = 300.0  # an upstream that wants more is asked again after this all the same


class TransientError(Exception):
    """A failure that may pass: ``error`` is what to raise if it does not, ``wait`` what the upstream asked for, in seconds."""

    def __init__(self, error: UpstreamError, wait: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait = wait


class Patience:
    """Waits for one upstream, shared by all its requests. ``clock`` is monotonic; both are seconds."""

    def __init__(self, sleep: Callable[[float], object] = time.sleep, clock: Callable[[], float] = time.monotonic) -> None:
        self._sleep = sleep
        self._clock = clock
        self._not_before = 0.0
        self._lock = threading.Lock()
        self._random = random.Random()  # noqa: S311 - jitter, no secret

    def until_allowed(self) -> None:
        """Wait until the upstream may be asked."""
        with self._lock:
            left = self._not_before - self._clock()
        if left > 0:
            self._sleep(left)

    def after(self, failure: TransientError, failures: int) -> None:
        """Wait after the ``failures``-th failure in a row. Raises its error once patience has run out."""
        if failures >= ATTEMPTS:
            raise failure.error from None
        if failure.wait is not None:
            with self._lock:
                self._not_before = max(self._not_before, self._clock() + min(failure.wait, LONGEST_RETRY_AFTER))
            return
        longest = min(FIRST_SECONDS * 2 ** (failures - 1), LONGEST_SECONDS)
        self._sleep(longest * self._random.uniform(0.5, 1.0))


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for (RFC 9110 10.2.3: a number or a date), None without one."""
    if not value:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max((when - datetime.now(UTC)).total_seconds(), 0.0)
