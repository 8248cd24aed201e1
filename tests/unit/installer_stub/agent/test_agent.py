"""The agent itself: what it does with what it is told, with nonsense, with silence, and with the end."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installer_stub.agent.place import sweep
from installer_stub.agent.requests import WINDOW
from installer_stub.errors import CommandFailed, FrameError, HostUnreachable
from installer_stub.host.command import Command
from installer_stub.host.connection import read_all
from tests.fakes.local_agent import LocalShell, local_agent
from tests.unit.installer_stub.agent.pair import Pair


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def runs(word: str) -> bool:
    return word in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def last_word(pair: Pair) -> str:
    """What the agent says before it ends."""
    said = ""
    try:
        while (frame := pair.reader.read()) is not None:
            if frame.kind == "error":
                said = f"error {frame.fields['problem']}"
    except (FrameError, OSError):
        pass
    return said


@settings(max_examples=25)
@given(garbage=st.binary(min_size=10, max_size=200))
def test_any_bytes_end_in_a_named_error_and_never_in_a_command(garbage: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    pair = Pair(tmp_path_factory.mktemp("lease"))
    pair.near.sendall(garbage)
    pair.near.shutdown(socket.SHUT_WR)
    assert last_word(pair).startswith("error ")
    pair.hang_up()


@pytest.mark.parametrize(
    ("number", "kind", "problem"),
    [(1, "dance", "no 'dance'"), (5, "data", "never began"), (0, "run", "request 0 comes after")],
)
def test_a_word_out_of_place_ends_it(tmp_path: Path, number: int, kind: str, problem: str) -> None:
    pair = Pair(tmp_path)
    pair.send(number, kind, text="true", timeout=1)
    assert problem in last_word(pair)
    pair.hang_up()


def test_fields_of_another_kind_fail_that_request_alone(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.send(1, "run", text=7, timeout=1)
    failed = pair.answer(1)
    assert (failed.kind, failed.fields["problem"]) == ("failed", "run: text is no text")
    pair.send(2, "run", text="exit 3", timeout=0)
    assert pair.answer(2).fields["status"] == 3
    pair.hang_up()


def test_more_than_the_window_is_refused(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.send(1, "run", text="exec sleep 60", timeout=60)

    def send() -> None:
        with suppress(OSError):
            for _ in range(2 + WINDOW // (1 << 20)):
                pair.send(1, "data", bytes(1 << 20))

    sending = threading.Thread(target=send)
    sending.start()
    assert "sent ahead" in last_word(pair)
    sending.join(10)
    pair.hang_up()


def test_when_the_operator_hangs_up_nothing_goes_on(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.send(1, "run", text="trap '' TERM HUP; sleep 4811.25 & setsid sleep 4811.25 & wait", timeout=0)
    assert eventually(lambda: runs("4811.25"))
    pair.hang_up()
    assert not runs("4811.25")


def test_silence_ends_it_and_all_that_runs(tmp_path: Path) -> None:
    pair = Pair(tmp_path, silence=0.5)
    pair.send(1, "run", text="exec sleep 4812.5", timeout=0)
    for _ in range(5):
        pair.send(0, "ping")
        time.sleep(0.2)
    assert not pair.silent.is_set()
    assert runs("4812.5")
    assert pair.silent.wait(10)
    assert not runs("4812.5")
    pair.hang_up()


def test_a_deadline_ends_all_that_a_command_started() -> None:
    agent = local_agent()
    with pytest.raises(CommandFailed, match="did not end within 1 s"):
        agent.run(Command.shell("sleep 4813.5 & setsid sleep 4813.5 & wait"), timeout=1)
    assert not runs("4813.5")
    agent.close()


def test_a_daemon_that_keeps_the_output_open_keeps_nobody_waiting() -> None:
    agent = local_agent()
    begun = time.monotonic()
    daemon = agent.run(Command.shell("sleep 20 & echo $!")).stdout
    assert time.monotonic() - begun < 10
    os.kill(int(daemon), signal.SIGKILL)  # here is no scope, which would end it
    agent.close()


def test_output_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("installer_stub.agent.calls.OUTPUT_LIMIT", 1 << 20)
    agent = local_agent()
    with pytest.raises(CommandFailed, match="printed more than 1 MiB; it was ended"):
        agent.run(Command.of("yes", "4814"))
    assert eventually(lambda: not runs("yes 4814"))
    assert agent.run(Command.of("true")).ok
    agent.close()


def test_a_shell_that_talks_is_skipped() -> None:
    talks = ("/bin/sh", "-c", "echo Welcome; echo 'aF and more'; exec /bin/sh")
    agent = local_agent(LocalShell(talks))
    assert agent.run(Command.of("echo", "x")).stdout == "x\n"
    agent.close()


def test_a_shell_that_is_none_says_what_it_said() -> None:
    with pytest.raises(FrameError, match="never began to speak; it said: This account is not available"):
        local_agent(LocalShell(("/bin/sh", "-c", "echo This account is not available; cat >/dev/null & sleep 0.2; kill $!")))


def test_a_program_that_is_no_agent_says_what_it_said() -> None:
    from installer_stub.agent.start import start_agent

    with pytest.raises(HostUnreachable, match=r"agent did not start.*ls: "):
        start_agent(LocalShell(), "abc", program=("ls", "/nowhere"))


def test_a_host_that_falls_silent_is_said_once_and_then_given_up() -> None:
    said: list[str] = []
    shell = LocalShell()
    agent = local_agent(shell, said=said.append, silence=(0.4, 2.0))
    pid = int(agent.run(Command("echo $PPID")).stdout)
    assert agent.run(Command.of("sleep", "1")).ok  # its pongs are heard meanwhile
    assert said == []
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(HostUnreachable, match=r"lost during .*silent for 2 s"):
            agent.run(Command.of("true"))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert len(said) == 1
    assert said[0].startswith("127.0.0.1: silent for")
    agent.close()


def test_a_lost_agent_is_an_unreachable_host_for_everyone_who_waits() -> None:
    agent = local_agent()
    pid = int(agent.run(Command("echo $PPID")).stdout)
    problems: list[str] = []

    def wait() -> None:
        try:
            agent.run(Command.of("sleep", "30"))
        except HostUnreachable as error:
            problems.append(error.problem)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: runs("sleep 30"))
    os.kill(pid, signal.SIGKILL)
    for thread in threads:
        thread.join(10)
    assert problems == ["127.0.0.1: the connection was lost during `sleep 30`"] * 3
    with pytest.raises(HostUnreachable):
        agent.put(io.BytesIO(b"x"), "/tmp/x", size=1)
    agent.close()
    agent.close()
    subprocess.run(["pkill", "-f", "^sleep 30$"], check=False)


def test_what_a_killed_agent_left_is_swept(tmp_path: Path) -> None:
    unpacked, mine = tmp_path / "_MEIabc", tmp_path / "precious"
    for name, text in (("dead", str(unpacked)), ("odd", str(mine))):
        (tmp_path / "root" / name).mkdir(parents=True)
        (tmp_path / "root" / name / "alive").write_text(text)
    (tmp_path / "root" / "beginning").mkdir()
    unpacked.mkdir()
    mine.mkdir()
    sweep(tmp_path / "root")
    assert [entry.name for entry in (tmp_path / "root").iterdir()] == ["beginning"]
    assert not unpacked.exists()
    assert mine.exists()




def test_many_files_are_one_question(tmp_path: Path) -> None:
    whole, empty, missing = tmp_path / "whole", tmp_path / "empty", tmp_path / "missing"
    whole.write_bytes(bytes(range(256)) * 2000)
    empty.write_bytes(b"")
    agent = local_agent()
    wanted = {str(whole): whole.read_bytes(), str(missing): None, str(empty): b"", f"{whole}/below": None}
    assert read_all(agent, wanted) == wanted
    assert read_all(agent, ()) == {}
    with pytest.raises(CommandFailed, match=r"could not read .*: Is a directory"):
        read_all(agent, (str(whole), str(tmp_path)))
    agent.close()
