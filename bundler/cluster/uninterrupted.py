"""What Ctrl-C does not cut in two: making something that has to be removed again, and its removal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a closed terminal mean nothing for the length of a removal: a second one must not leave half of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = {number: signal.signal(number, signal.SIG_IGN) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)


@contextmanager
def heard_afterwards() -> Iterator[None]:
    """Hear Ctrl-C, SIGTERM and a closed terminal when the block has ended, not within: an engine that was asked makes what it was asked for.

    Cut in between, a caller would not know of a container that is there a moment later. Raises what the block raises, then what the
    signal's handler raises.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        del frame
        heard.append(number)

    held = {number: signal.signal(number, hear) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        if heard:
            signal.raise_signal(heard[0])
