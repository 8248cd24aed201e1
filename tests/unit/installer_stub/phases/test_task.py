"""Long scripts on a host: watched to their end, attached to when they still run, never begun twice at once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer_stub.errors import HostError
from installer_stub.phases import task as task_module
from installer_stub.phases.forget_tasks import ForgetTasks
from installer_stub.phases.task import Task, TaskFailed, look_at, run_task, settle_task, stop_task
from installer_stub.phases.task_state import TaskState
from tests.fakes.plans import M1, make_context, make_plan, masters
from tests.fakes.scripted import ScriptedConnection, failed

TASK = Task("join", "kubeadm join\n")
WATCH = "LoadState"
GONE = "LoadState=not-found;ActiveState=inactive;SubState=dead;Description=airseal-join.service"
RUNS = f"LoadState=loaded;ActiveState=active;SubState=running;Description=airseal {TASK.digest}"


def answer(unit: str, output: str = "", *, size: int, status: int | None = None, digest: str = TASK.digest, begun: str = "") -> str:
    result = "" if status is None else f"{digest} {status} 100 200"
    return f"{unit}\n{result}\n{begun}\n{size}\n{output}"


NOTHING = answer(GONE, size=0)


def host(*watched: str, before: str = NOTHING) -> ScriptedConnection:
    return ScriptedConnection().on("systemctl stop").on("systemd-run").on(WATCH, before, *watched)


def run(connection: ScriptedConnection, **how: bool) -> tuple[str, list[str]]:
    said: list[str] = []
    return run_task(connection, TASK, said=said.append, **how), said


def test_output_comes_line_by_line_while_it_runs_and_lines_may_be_torn_between_two_looks() -> None:
    connection = host(
        answer(RUNS, "one\ntwo", size=8),
        answer(RUNS, " and\n", size=13),
        answer(GONE, "three\n", size=19, status=0),
    )
    tail, said = run(connection)
    assert said == ["10.0.0.2: one", "10.0.0.2: two and", "10.0.0.2: three"]
    assert tail == "one\ntwo and\nthree"


def test_colours_are_left_out() -> None:
    tail, _ = run(host(answer(GONE, "\x1b[0;37mOS\x1b[0m: \x1b[0;32mLinux\x1b[0m\n", size=40, status=0)))
    assert tail == "OS: Linux"


def test_each_look_asks_for_what_is_new() -> None:
    connection = host(answer(RUNS, "one\ntwo", size=8), answer(GONE, size=8, status=0))
    run(connection)
    assert [command.text.split()[-3] for command in connection.ran(WATCH)] == ["0", "0", "8"]


def test_another_one_of_its_name_is_stopped_before_it_begins() -> None:
    other = RUNS.replace(TASK.digest, "f" * 32)
    connection = host(answer(GONE, size=0, status=0), before=answer(other, size=3))
    run(connection)
    begin = connection.ran("systemd-run")[0].text
    assert begin.index("systemctl stop") < begin.index("exec systemd-run")
    assert "airseal-join.service" in begin
    assert connection.modes["/run/airseal/join.sh"] == 0o700


def test_the_same_one_that_still_runs_is_attached_to() -> None:
    connection = host(answer(RUNS, "begun before\n", size=13), answer(GONE, "end\n", size=17, status=0), before=answer(RUNS, size=13))
    tail, said = run(connection)
    assert connection.ran("systemd-run") == []
    assert connection.files == {}
    assert said[0] == "10.0.0.2: join of an earlier run still runs; going on with it"
    assert tail == "begun before\nend"


def test_one_that_ended_well_while_nobody_looked_is_not_run_again_where_once_is_enough() -> None:
    ended = answer(GONE, "installed\n", size=10, status=0)
    connection = host(ended, before=ended)
    tail, said = run(connection, once=True)
    assert connection.ran("systemd-run") == []
    assert connection.ran("systemctl stop") == []  # its result stays until somebody has noted it
    assert tail == "installed"
    assert "not run again" in said[0]


def test_before_a_look_the_same_one_is_waited_for_and_another_one_stopped() -> None:
    said: list[str] = []
    connection = host(answer(GONE, "end\n", size=4, status=1), before=answer(RUNS, size=0))
    settle_task(connection, TASK, said=said.append)
    assert said == ["10.0.0.2: join of an earlier run still runs; waiting for its end", "10.0.0.2: end"]
    assert len(connection.ran("systemctl stop")) == 1
    other = host(before=answer(RUNS.replace(TASK.digest, "f" * 32), size=0))
    settle_task(other, TASK, said=said.append)
    assert len(other.commands) == 2
    assert "systemctl stop" in other.commands[1].text


@pytest.mark.parametrize("before", [answer(GONE, size=9, status=1), answer(GONE, size=9, status=0, digest="f" * 32), answer(GONE, size=9)])
def test_one_that_failed_or_is_another_or_left_no_result_runs(before: str) -> None:
    connection = host(answer(GONE, size=0, status=0), before=before)
    run(connection, once=True)
    assert len(connection.ran("systemd-run")) == 1


def test_without_once_an_old_result_is_no_reason_not_to_run() -> None:
    ended = answer(GONE, size=0, status=0)
    connection = host(ended, before=ended)
    run(connection)
    assert len(connection.ran("systemd-run")) == 1


def test_a_failure_shows_the_status_and_the_end_of_the_output() -> None:
    connection = host(answer(GONE, "reason\nlast line", size=20, status=3))
    with pytest.raises(TaskFailed, match="status 3") as caught:
        run(connection)
    assert caught.value.tail == "reason\nlast line"
    assert caught.value.status == 3
    assert "/var/lib/airseal/log/join.log" in caught.value.remedy


def test_only_the_end_of_a_long_output_is_kept() -> None:
    lines = "".join(f"{number}\n" for number in range(1000))
    tail, said = run(host(answer(GONE, lines, size=len(lines), status=0)))
    assert len(said) == 1000
    assert tail.splitlines()[0] == "960"


def test_a_task_that_says_nothing_is_said_and_less_often_later() -> None:
    connection = host(*[answer(RUNS, size=0)] * 10, answer(GONE, size=0, status=0))
    said: list[str] = []
    times = iter(range(0, 10_000, 25))
    run_task(connection, TASK, said=said.append, clock=lambda: float(next(times)))
    assert [line.split(" for ")[0] for line in said] == ["10.0.0.2: join has said nothing"] * len(said)
    assert 1 <= len(said) <= 4


def test_a_task_that_vanished_is_no_success() -> None:
    with pytest.raises(HostError, match="ended from outside"):
        run(host(answer(GONE, size=0)))


@pytest.mark.parametrize("said", ["what?", "", "\n\n\n\n", f"{GONE}\n\n\nmany\n", "ActiveState=active\n\n\n0\n"])
def test_an_answer_that_makes_no_sense_is_no_success(said: str) -> None:
    with pytest.raises(HostError, match="cannot tell"):
        run(host(said))


@given(st.text(max_size=200))
def test_any_answer_is_a_state_or_a_named_error(said: str) -> None:
    try:
        state, _ = TaskState.parse(said)
    except ValueError:
        return
    assert state.words


def test_a_host_that_cannot_start_it_says_why() -> None:
    connection = host().on("systemd-run", failed(1, "Failed to connect to bus"))
    with pytest.raises(HostError, match="Failed to connect to bus"):
        run(connection)


def test_what_was_begun_and_never_ended_was_interrupted() -> None:
    def state(text: str) -> int | None:
        return look_at(ScriptedConnection().on(WATCH, text), TASK).interrupted(TASK.digest)

    begun = f"{TASK.digest} 1700"
    assert state(answer(GONE, size=0, begun=begun)) == 1700
    assert state(answer(RUNS, size=0, begun=begun)) is None
    assert state(answer(GONE, size=0, begun=begun, status=1)) is None
    assert state(answer(GONE, size=0, begun=f"{'f' * 32} 1700")) is None
    assert state(NOTHING) is None


def test_a_text_of_other_words_may_be_the_same_task() -> None:
    assert Task("init", "a", "config").digest == Task("init", "b", "config").digest
    assert Task("init", "a").digest != Task("init", "b").digest


@pytest.fixture
def wrapped(tmp_path: Path) -> tuple[Path, list[str]]:
    """The wrapper that systemd would start, without systemd."""
    script, log, record = tmp_path / "x.sh", tmp_path / "x.log", tmp_path / "x"
    log.touch()
    return tmp_path, ["/bin/sh", "-c", task_module._WRAPPER, "sh", str(script), str(log), "abc", str(record), str(tmp_path), "0"]


@pytest.mark.parametrize("status", [0, 3])
def test_a_task_writes_its_own_result_and_takes_its_script_away(wrapped: tuple[Path, list[str]], status: int) -> None:
    directory, argv = wrapped
    (directory / "x.sh").write_text(f"echo out; echo err >&2; exit {status}\n")
    assert subprocess.run(argv, check=False).returncode == 0
    words = (directory / "x.result").read_text().split()
    assert words[:2] == ["abc", str(status)]
    assert int(words[2]) <= int(words[3])
    assert sorted(entry.name for entry in directory.iterdir()) == ["x.log", "x.result"]
    assert (directory / "x.log").read_text() == "out\nerr\n"


def test_one_that_takes_too_long_is_ended_and_its_children_with_it(wrapped: tuple[Path, list[str]]) -> None:
    directory, argv = wrapped
    (directory / "x.sh").write_text("echo begun; sleep 60; echo never\n")
    assert subprocess.run([*argv[:-1], "1"], check=False).returncode == 0
    words = (directory / "x.result").read_text().split()
    assert words[:2] == ["abc", "124"]
    assert int(words[3]) - int(words[2]) >= 1
    assert (directory / "x.log").read_text() == "begun\n"


def test_one_that_was_ended_says_after_how_long() -> None:
    task = Task("join", "kubeadm join\n", limit=100)
    connection = host(answer(GONE, "waiting\n", size=8, status=124))
    with pytest.raises(TaskFailed, match="join did not end within 1 min 40 s and was stopped:\nwaiting"):
        run_task(connection, task)
    assert connection.ran("systemd-run")[0].text.endswith(" 100")
    own = host(answer(GONE, "x\n", size=2, status=124))
    with pytest.raises(TaskFailed, match="ended with status 124"):
        run_task(own, Task("join", "kubeadm join\n", limit=1000))


def test_a_killed_task_leaves_no_result(wrapped: tuple[Path, list[str]]) -> None:
    directory, argv = wrapped
    (directory / "x.sh").write_text("kill -9 $PPID\n")
    assert subprocess.run(argv, check=False).returncode == -9
    assert not (directory / "x.result").exists()


def test_the_scripts_are_shell_that_every_sh_reads() -> None:
    for script in (task_module._STOP, task_module._START, task_module._WATCH, task_module._WRAPPER):
        subprocess.run(["/bin/sh", "-n", "-c", script], check=True)
    assert "${" not in task_module._WRAPPER  # systemd would expand it


def test_stopping_forgets_everything_of_it() -> None:
    connection = ScriptedConnection().on("systemctl stop")
    stop_task(connection, "join")
    (command,) = connection.commands
    for word in ("airseal-join.service", "/run/airseal/join.sh", "/var/lib/airseal/tasks/join"):
        assert word in command.text


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ((), ()),
        (("fetch-files.begun", "fetch-files.result"), ("fetch-files",)),
        (("join.begun",), ("join",)),  # the power went
        (("command-1.result",), ("command-1",)),  # the power went while it was forgotten
        (("command-1.begun", "command-10.begun", "command-10.result.new"), ("command-1", "command-10")),
        (("README",), ()),
    ],
)
def test_every_task_that_left_any_note_is_named_once(tmp_path: Path, files: tuple[str, ...], names: tuple[str, ...]) -> None:
    for file in files:
        (tmp_path / file).touch()
    said = subprocess.run(["/bin/sh", "-euc", task_module._NOTED, "sh", str(tmp_path)], capture_output=True, text=True, check=True).stdout
    assert task_module.noted(ScriptedConnection().on(r"\*\.begun", said)) == names


def test_a_host_without_notes_has_nothing_to_forget(tmp_path: Path) -> None:
    said = subprocess.run(["/bin/sh", "-euc", task_module._NOTED, "sh", str(tmp_path / "none")], capture_output=True, text=True, check=True).stdout
    assert said == ""


def test_what_dead_runs_left_is_forgotten_host_by_host_and_nothing_is_done_where_there_is_none() -> None:
    connection = ScriptedConnection().on(r"\*\.begun", "fetch-files\njoin\n").on("systemctl stop")
    phase, here = ForgetTasks(), make_context(make_plan(*masters(M1)))
    assert not phase.is_done(here, here.plan.masters[0], connection)
    phase.do(here, here.plan.masters[0], connection)
    assert [command.text.split()[-3] for command in connection.ran("systemctl stop")] == ["airseal-fetch-files.service", "airseal-join.service"]
    assert phase.is_done(here, here.plan.masters[0], ScriptedConnection().on(r"\*\.begun", ""))
