"""Try again until a deadline, for things that are known to need a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=Exception)


def retry(
    work: Callable[[], T],
    on: type[E] | tuple[type[E], ...],
    *,
    seconds: float,
    pause: float = 1.0,
    when: Callable[[E], bool] = lambda _: True,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Return what ``work`` returns; after an exception of ``on``, try again every ``pause`` seconds for ``seconds``.

    The last attempt's exception is raised. Anything not in ``on``, or for which ``when`` says no, is raised at once.
    """
    deadline = clock() + seconds
    while True:
        try:
            return work()
        except on as error:
            if not when(error) or clock() + pause > deadline:
                raise
        sleep(pause)
