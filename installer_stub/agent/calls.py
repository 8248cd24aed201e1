"""What the operator's side waits for: calls under way on one agent's channel, and who hears which answer."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

from installer_stub.agent.frames import Frame
from installer_stub.agent.requests import WINDOW
from installer_stub.host.exchange import OUTPUT_LIMIT, TooMuchOutput

ENDS: Final = frozenset({"done", "failed", "stopped"})


class Lost(Exception):
    """The channel is gone; the text says how."""


class TooLong(Exception):
    """No end within the deadline, or no progress."""


class Call:
    """One request and what has come back for it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.out = bytearray()
        self.err = bytearray()
        self._change = threading.Condition()
        self._told: deque[Frame] = deque()  # "have"
        self._credit = WINDOW
        self._end: Frame | None = None
        self._lost: str | None = None  # how, once the channel is gone
        self._progress = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to stop any more."""
        return self._end is not None or self._lost is not None

    def hear(self, frame: Frame) -> None:
        """Take an answer."""
        with self._change:
            if self._lost is not None:
                return  # what comes now is about our own going
            self._progress = time.monotonic()
            match frame.kind:
                case "out":
                    self.out += frame.payload
                case "err":
                    self.err += frame.payload
                case "ack":
                    self._credit += frame.number("size")
                case _ if frame.kind in ENDS:
                    self._end = frame
                case _:
                    self._told.append(frame)
            self._change.notify_all()

    def lose(self, how: str) -> None:
        """The channel is gone: whoever waits wakes."""
        with self._change:
            self._lost = how
            self._change.notify_all()

    def may_send(self, size: int, *, stall: float) -> bool:
        """Wait for room for ``size`` bytes. False: it has ended. Raises Lost, TooLong after ``stall`` s without progress."""
        with self._change:
            while self._credit < size:
                if self._end is not None:
                    return False
                self._wait(self._progress + stall)
            if self._lost is not None:
                raise Lost(self._lost)
            if self._end is not None:
                return False
            self._credit -= size
            return True

    def told(self, *, stall: float) -> Frame | None:
        """Wait for what it tells in between; None when it has ended. Raises Lost, TooLong."""
        with self._change:
            while not self._told:
                if self._end is not None:
                    return None
                self._wait(self._progress + stall)
            return self._told.popleft()

    def ended(self, *, within: float | None = None, stall: float | None = None) -> Frame:
        """Wait for the end. Raises Lost, TooMuchOutput, and TooLong after ``within`` s or ``stall`` s without progress."""
        begun = time.monotonic()
        with self._change:
            while self._end is None:
                if max(len(self.out), len(self.err)) > OUTPUT_LIMIT:
                    raise TooMuchOutput(OUTPUT_LIMIT)
                limits = [begun + within] if within is not None else []
                limits += [self._progress + stall] if stall is not None else []
                self._wait(min(limits, default=None))
            return self._end

    def _wait(self, until: float | None) -> None:
        if self._lost is not None:
            raise Lost(self._lost)
        left = 1.0 if until is None else until - time.monotonic()
        if left <= 0:
            raise TooLong
        self._change.wait(min(left, 1.0))  # woken now and then: Ctrl-C gets through to the main thread


class Calls:
    """All calls on one channel."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, Call] = {}
        self._last = 0
        self._is_lost = False
        self._how = ""

    def begin(self) -> Call:
        """Return a new call. Raises Lost."""
        with self._lock:
            if self._is_lost:
                raise Lost(self._how)
            self._last += 1
            call = self._running[self._last] = Call(self._last)
        return call

    def hear(self, frame: Frame) -> None:
        """Give an answer to its call; one that nobody waits for any more is dropped."""
        call = self._running.get(frame.id)
        if call is not None:
            call.hear(frame)

    def end(self, call: Call) -> None:
        """Forget a call."""
        self._running.pop(call.number, None)

    def lose(self, how: str) -> None:
        """Wake everyone who waits."""
        with self._lock:
            if self._is_lost:
                return
            self._is_lost, self._how = True, how
            running = tuple(self._running.values())
        for call in running:
            call.lose(how)

    @property
    def lost(self) -> bool:
        """Whether the channel is gone."""
        return self._is_lost
