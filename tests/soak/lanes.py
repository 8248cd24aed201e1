"""Lanes: several scenarios at a time, each in a process of its own, which ends with its bed whatever happens in it."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.demo.shop import ROOT
from tests.soak.installer import Failed
from tests.soak.results import read_result, set_aside
from tests.soak.scenario import Desk, Result, Scenario
from tests.testbed.cache import Cache
from tests.testbed.hosts import down

Command = Callable[[str, str], Sequence[str]]
"""The command line that runs one scenario in one bed."""


class _Late(BaseException):
    """The scenario's time is over. No handler of its own is to take it for one of its failures."""


def run_one(scenario: Scenario, desk: Desk, patience: float = 1) -> Result:
    """Run a scenario in this process; its bed is gone afterwards. Nothing that it raises gets out. ``patience``: times its minutes."""
    desk.directory.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    outcome, said = "passed", ""
    try:
        with _deadline(scenario.minutes * patience):
            scenario.act(desk)
    except Failed as error:
        outcome, said = "failed", str(error)
    except _Late:
        outcome, said = "late", f"not done after {scenario.minutes * patience:.0f} minutes, at:\n{traceback.format_exc()[-1500:]}"
    except Exception as error:  # noqa: BLE001 - everything is a result
        outcome, said = "failed", f"{type(error).__name__}: {error}\n{traceback.format_exc()[-1500:]}"
    desk.figures["load"] = f"{os.getloadavg()[2]:.0f}"  # of the last 15 minutes: what else the machine did
    for bed in (desk.bed_name, f"{desk.bed_name}c"):
        down(Cache.default(), bed)
    return Result(scenario.name, scenario.what, outcome, time.monotonic() - began, said, desk.figures, desk.shared.name, time.time())


@contextlib.contextmanager
def _deadline(minutes: float) -> Iterator[None]:
    def late(_number: int, _frame: object) -> None:
        raise _Late

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, minutes * 60)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_lanes(
    scenarios: Sequence[Scenario], *, lanes: int, first: int, until: float, command: Command, into: Path, done: Callable[[Result], None]
) -> None:
    """Run scenarios side by side; none begins after ``until`` (monotonic seconds). ``first``: number of the first lane's bed."""
    waiting: queue.SimpleQueue[Scenario] = queue.SimpleQueue()
    for scenario in scenarios:
        waiting.put(scenario)
    lock = threading.Lock()

    def work(lane: int) -> None:
        while time.monotonic() < until:
            try:
                scenario = waiting.get_nowait()
            except queue.Empty:
                return
            result = _in_a_process(scenario, command(scenario.name, f"soak-{lane}"), into)
            with lock:
                done(result)

    threads = [threading.Thread(target=work, args=(lane,)) for lane in range(first, first + lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _in_a_process(scenario: Scenario, command: Sequence[str], into: Path) -> Result:
    directory = into / scenario.name
    directory.mkdir(parents=True, exist_ok=True)
    result = directory / "result.json"
    set_aside(result)
    with (directory / "process.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            code = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
    if not result.exists():
        return Result(scenario.name, scenario.what, "failed", 0.0, f"its process ended with {code}, see {directory / 'process.log'}", {}, into.name, time.time())
    return read_result(result)
