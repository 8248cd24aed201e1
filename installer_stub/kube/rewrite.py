"""Objects that others write too, read and written by us: a kubelet, a controller, an operator of the site."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from installer_stub.errors import CommandFailed
from installer_stub.host.retry import retry

T = TypeVar("T")

# https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions: a write with a version that is not the newest is refused.
CONFLICT: Final = "Error from server (Conflict)"
SECONDS: Final = 60.0  # a new node is written to some ten times in its first seconds, then every ten
_PAUSE: Final = 0.3


def rewrite(
    work: Callable[[], T],
    *,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Return what ``work`` returns, which reads an object, decides, and writes it with the version that it read.

    Where somebody wrote in between, it does all three anew, for ``seconds``: what they wrote stays. Raises CommandFailed, the conflict's
    own after that time, any other at once.
    """
    return retry(work, CommandFailed, seconds=seconds, pause=_PAUSE, when=lambda error: CONFLICT in error.problem, clock=clock, sleep=sleep)
