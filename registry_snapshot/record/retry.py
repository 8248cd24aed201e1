"""When to ask an upstream again, and how long to wait before.

A wait that the upstream asks for (429, or ``Retry-After`` with another status) holds back every request to it, not only
the one that was refused: a hundred clients that each come back alone keep a rate limit shut for ever. While it lasts
requests stand in one queue, and its first alone asks whether the upstream answers again.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from registry_snapshot.errors import TransferStopped, UpstreamError

_log = logging.getLogger(__name__)
ATTEMPTS = 6
FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
LONGEST_RETRY_AFTER = 300.0  # an upstream that wants more is asked again after this all the same
LONGEST_LIMIT = 1800.0  # a limit that answers nobody for this long fails those who wait


class TransientError(Exception):
    """A failure that may pass: ``error`` is what to raise if it does not, ``wait`` what the upstream asked for, in seconds.

    ``limited`` tells that it refuses everybody for now (429), which no number of attempts changes.
    """

    def __init__(self, error: UpstreamError, wait: float | None = None, *, limited: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait = wait
        self.limited = limited


class Patience:
    """Waits for one upstream, shared by all its requests. ``clock`` is monotonic; both are seconds.

    A ``sleep`` that returns True tells that there is no sense in waiting any longer: whoever waits raises TransferStopped.
    """

    def __init__(self, sleep: Callable[[float], object] = time.sleep, clock: Callable[[], float] = time.monotonic) -> None:
        self._sleep = sleep
        self._clock = clock
        self._random = random.Random()  # noqa: S311 - jitter, no secret
        self._changed = threading.Condition()
        self._held_since: float | None = None
        self._not_before = 0.0
        self._refusals = 0
        self._asking = False  # somebody asks whether the upstream answers again

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until the upstream may be asked; inside, ask it and raise TransientError if it wants to be left alone.

        A limit that has lasted too long is raised as the error it stands for. Raises UpstreamError.
        """
        first = self._enter()
        answered = True  # a refusal that concerns this request alone is an answer too: 404, for one
        try:
            yield
        except TransientError as failure:
            answered = False
            if (failure.limited or failure.wait is not None) and self._hold(failure, first=first):
                raise failure.error from None
            raise
        finally:
            if first:
                self._leave(answered=answered)

    def back_off(self, failures: int) -> None:
        """Wait after the ``failures``-th failure in a row, with jitter. Raises TransferStopped."""
        self._nap(self._longest(failures) * self._random.uniform(0.5, 1.0))

    def _enter(self) -> bool:
        """Return when the upstream may be asked; True if the caller is the one who tries it for all."""
        with self._changed:
            self._changed.wait_for(lambda: self._held_since is None or not self._asking)
            if self._held_since is None:
                return False
            self._asking = True
        try:
            while (left := self._not_before - self._clock()) > 0:
                self._nap(left)
        except BaseException:
            self._leave(answered=False)
            raise
        return True

    def _leave(self, *, answered: bool) -> None:
        with self._changed:
            self._asking = False
            if answered:
                self._held_since = None
            self._changed.notify_all()

    def _hold(self, failure: TransientError, *, first: bool) -> bool:
        """Hold everybody back; tell whether that has lasted too long."""
        with self._changed:
            now = self._clock()
            if self._held_since is None:
                self._held_since, self._refusals, first = now, 0, True
            if failure.limited and now - self._held_since >= LONGEST_LIMIT:
                return True
            self._refusals += first
            wait = self._longest(self._refusals) if failure.wait is None else min(failure.wait, LONGEST_RETRY_AFTER)
            self._not_before = max(self._not_before, now + wait)
        if first:
            _log.warning("waiting %.0f s: %s", wait, failure.error.problem)
        return False

    def _nap(self, seconds: float) -> None:
        if self._sleep(seconds) is True:
            raise TransferStopped("the transfer was stopped", "run again: what is whole is kept")

    @staticmethod
    def _longest(failures: int) -> float:
        return min(FIRST_SECONDS * 2.0 ** (min(failures, 16) - 1), LONGEST_SECONDS)


class Attempts:
    """The tries of one fetch. ``retries`` counts the requests that were repeated."""

    def __init__(self, patience: Patience) -> None:
        self.retries = 0
        self._patience = patience
        self._failures = 0

    def failed(self, failure: TransientError, *, moved: bool = False) -> None:
        """Wait before the next try; ``moved`` says that this one got further, which renews patience.

        Raises the failure's error once patience has run out, TransferStopped.
        """
        self.retries += 1
        if failure.limited:
            return  # the queue of Patience waits, and knows its end
        self._failures = 1 if moved else self._failures + 1
        if self._failures >= ATTEMPTS:
            raise failure.error from None
        if failure.wait is None:
            self._patience.back_off(self._failures)


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for (RFC 9110 10.2.3: a number or a date), None without one."""
    text = (value or "").strip()[:64]
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        return max((when - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
