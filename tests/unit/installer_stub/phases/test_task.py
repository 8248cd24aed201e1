"""Long scripts on a host: watched to their end, stopped before they begin again."""

from __future__ import annotations

import pytest

from installer_stub.distro.units import WITHOUT_PROXY
from installer_stub.errors import HostError
from installer_stub.phases.task import Task, TaskFailed, run_task
from tests.fakes.scripted import ScriptedConnection, failed

TASK = Task("join", "kubeadm join\n")
WATCH = "ExecMainStatus"


def host(*watched: str) -> ScriptedConnection:
    return ScriptedConnection().on("systemctl stop").on("systemd-run").on(WATCH, *watched)


def run(connection: ScriptedConnection) -> tuple[str, list[str]]:
    said: list[str] = []
    return run_task(connection, TASK, said=said.append, sleep=lambda _: None), said


def test_output_comes_line_by_line_while_it_runs_and_lines_may_be_torn_between_two_looks() -> None:
    connection = host(
        "loaded active running 0 8\none\ntwo",
        "loaded active running 0 13\n and\n",
        "loaded active exited 0 19\nthree\n",
    )
    tail, said = run(connection)
    assert said == ["10.0.0.2: one", "10.0.0.2: two and", "10.0.0.2: three"]
    assert tail == "one\ntwo and\nthree"


def test_each_look_asks_for_what_is_new() -> None:
    connection = host("loaded active running 0 8\none\ntwo", "loaded active exited 0 8\n")
    run(connection)
    assert [command.text.split()[-1] for command in connection.ran(WATCH)] == ["0", "8"]


def test_what_an_earlier_run_left_is_stopped_before_it_begins_again() -> None:
    connection = host("loaded active exited 0 0\n")
    run(connection)
    order = [command.text for command in connection.commands]
    stop = next(place for place, text in enumerate(order) if "systemctl stop" in text)
    start = next(place for place, text in enumerate(order) if "systemd-run" in text)
    assert stop < start
    assert "airseal-join.service" in order[stop]
    assert connection.modes["/run/airseal/join.sh"] == 0o700


def test_no_proxy_of_systemd_reaches_a_task() -> None:
    connection = host("loaded active exited 0 0\n")
    run(connection)
    (start,) = connection.ran("systemd-run")
    command = start.text.partition("--property=TimeoutStopSec=10 ")[2]
    assert command.startswith(f"{WITHOUT_PROXY} /bin/sh -c ")
    assert all(f"-u {name} " in command for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"))


def test_a_failure_shows_the_status_and_the_end_of_the_output() -> None:
    connection = host("loaded failed failed 3 20\nreason\nlast line")
    with pytest.raises(TaskFailed, match="status 3") as caught:
        run(connection)
    assert caught.value.tail == "reason\nlast line"
    assert "/var/lib/airseal/log/join.log" in caught.value.remedy


def test_only_the_end_of_a_long_output_is_kept() -> None:
    lines = "".join(f"{number}\n" for number in range(1000))
    tail, said = run(host(f"loaded active exited 0 {len(lines)}\n{lines}"))
    assert len(said) == 1000
    assert tail.splitlines()[0] == "960"


def test_a_task_that_vanished_is_no_success() -> None:
    with pytest.raises(HostError, match="ended from outside"):
        run(host("not-found inactive dead 0 0\n"))


def test_an_answer_that_makes_no_sense_is_no_success() -> None:
    with pytest.raises(HostError, match="cannot tell"):
        run(host("what?"))


def test_a_host_that_cannot_start_it_says_why() -> None:
    connection = host().on("systemd-run", failed(1, "Failed to connect to bus"))
    with pytest.raises(HostError, match="Failed to connect to bus"):
        run(connection)
