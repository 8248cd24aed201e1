"""How both programs are stopped: by Ctrl-C, SIGTERM or a closed terminal, always with every ``finally`` run."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the program the way Ctrl-C does: every ``finally`` runs."""

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup must go on meaning what it means
                before[number] = signal.signal(number, stop)
        yield
    finally:
        for restored, handler in before.items():
            signal.signal(restored, handler)
