"""A recorded cluster that is kept to be looked at: it can pull for as long as the build waits, because the recorder is a part of the build."""

from __future__ import annotations

import os
import select
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from bundler.errors import Interrupted
from installer_stub.errors import Interrupted as PhasesInterrupted
from installer_stub.phases.reporter import Reporter
from installer_stub.ui.prompts import is_interactive

_PATIENCE: Final = 24 * 3600.0  # seconds


def _sits_there() -> bool:
    """Tell whether a person can press a key that comes to this process: not in the background, nor where only its output is looked at."""
    try:
        return is_interactive() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


@contextmanager
def kept(network: str, hosts: Sequence[str], reporter: Reporter, person: Callable[[], bool] = _sits_there, wait: Callable[[], object] | None = None) -> Iterator[None]:
    """Say at the end of the block how the containers ``hosts`` of ``network`` are looked at, and removed.

    Where a person sits the build waits there for Enter or Ctrl-C, at most a day, unless it was interrupted before: what the block opened,
    the recorder's door among it, is still open. What was recorded, or why it could not be, is not lost by either. Raises what the block raises.
    """
    try:
        yield
    except (Interrupted, PhasesInterrupted, KeyboardInterrupt):
        reporter.step(_stays(network, hosts))
        raise
    except Exception as error:
        reporter.step(f"not recorded: {error}")
        _look(network, hosts, reporter, person, wait)
        raise
    _look(network, hosts, reporter, person, wait)


def _look(network: str, hosts: Sequence[str], reporter: Reporter, person: Callable[[], bool], wait: Callable[[], object] | None) -> None:
    reporter.step(_stays(network, hosts))
    if not person():
        reporter.step("it cannot pull any more: the recorder ends with this build, which waits only for a person at a terminal")
        return
    reporter.step("it can pull as long as this build waits: press Enter to go on")
    with suppress(KeyboardInterrupt, OSError, ValueError):
        (wait or _wait_for_enter)()


def _wait_for_enter() -> None:
    termios.tcflush(sys.stdin, termios.TCIFLUSH)  # what was typed before is no answer
    select.select([sys.stdin], [], [], _PATIENCE)
    termios.tcflush(sys.stdin, termios.TCIFLUSH)


def _stays(network: str, hosts: Sequence[str]) -> str:
    return f"the cluster stays: docker exec -it {hosts[0]} bash; when the build is over, remove it with: docker rm -fv {' '.join(hosts)}; docker network rm {network}"
