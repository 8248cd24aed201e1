"""A cluster that is kept says so however its build ended, and waits only for a person."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from bundler.errors import ClusterFailed, Interrupted
from bundler.lab.kept import kept
from installer_stub.errors import Interrupted as PhasesInterrupted
from tests.unit.bundler.reporter import Remembering


def _interrupted() -> None:
    raise KeyboardInterrupt  # what was recorded, or why it could not be, is not lost by that


FAILED = ClusterFailed("the pod never came", "mend it")


@pytest.mark.parametrize("person", [True, False])
@pytest.mark.parametrize("error", [None, FAILED, OSError("the wire"), Interrupted("stopped"), PhasesInterrupted("stopped"), KeyboardInterrupt()])
def test_what_is_said_and_when_it_waits(error: BaseException | None, *, person: bool) -> None:
    said, waited = Remembering(), []

    def build() -> None:
        with kept("net", ["net-m1", "net-n1"], said, lambda: person, lambda: waited.append(list(said.steps))):
            if error is not None:
                raise error

    if error is None:
        build()
    else:
        with pytest.raises(type(error)) as caught:
            build()
        assert caught.value is error
    if person:
        with pytest.raises(type(error)) if error is not None else nullcontext(), kept("net", ["net-m1"], said, lambda: person, _interrupted):
            if error is not None:
                raise error
    stopped = isinstance(error, (Interrupted, PhasesInterrupted, KeyboardInterrupt))
    assert "the cluster stays: docker exec -it net-m1 bash; when the build is over, remove it with: docker rm -fv net-m1 net-n1; docker network rm net" in said.steps
    assert ([*waited] != []) is (person and not stopped)
    assert any("cannot pull any more" in line for line in said.steps) is (not person and not stopped)
    assert any(line.startswith("not recorded: ") and str(error) in line for line in said.steps) is (error is not None and not stopped)
