"""Try again until a deadline, for things that are known to need a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def retry(
    work: Callable[[], T], on: type[Exception] | tuple[type[Exception], ...], *, seconds: float, pause: float = 1.0
) -> T:
    """Return what ``work`` returns; after an exception of ``on``, try again every ``pause`` seconds for ``seconds``.

    The last attempt's exception is raised. Anything not in ``on`` is raised at once.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return work()
        except on:
            if time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
