"""A recorded cluster that is kept to be looked at: it can pull for as long as the build waits, because the recorder is a part of the build."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from bundler.errors import Interrupted
from installer_stub.errors import Interrupted as PhasesInterrupted
from installer_stub.phases.base import Reporter
from installer_stub.ui.prompts import is_interactive


@contextmanager
def kept(network: str, hosts: Sequence[str], reporter: Reporter, person: Callable[[], bool] = is_interactive, wait: Callable[[], object] | None = None) -> Iterator[None]:
    """Say at the end of the block how the containers ``hosts`` of ``network`` are looked at, and removed.

    Where a person sits the build waits there for Enter, unless it was interrupted: what the block opened, the recorder's door among
    it, is still open. Raises what the block raises, KeyboardInterrupt.
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
    (wait or sys.stdin.readline)()


def _stays(network: str, hosts: Sequence[str]) -> str:
    return f"the cluster stays: docker exec -it {hosts[0]} bash; remove it with: docker rm -fv {' '.join(hosts)}; docker network rm {network}"
