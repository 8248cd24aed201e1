"""The lease on one host: one living holder, whose lock is the proof."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from installer_stub.agent.frames import Frame
from installer_stub.agent.host_lease import Holder, HostLease
from installer_stub.agent.requests import Request
from tests.unit.installer_stub.agent.pair import Pair


def take(pair: Pair, run: str, number: int = 1) -> Frame:
    pair.send(number, "lease", run=run, who=f"{run}@laptop", verb="install")
    return pair.answer(number)


def test_one_holds_it_and_the_other_is_told_who_and_since_when(tmp_path: Path) -> None:
    first, second = Pair(tmp_path), Pair(tmp_path)
    assert take(first, "one").fields["granted"] is True
    assert take(first, "one", 2).fields["granted"] is True  # asked twice is fine
    refused = take(second, "two").fields
    assert refused["granted"] is False
    holder = Holder.parse(refused["holder"])
    assert holder is not None
    assert (holder.run, holder.who, holder.verb, holder.pid) == ("one", "one@laptop", "install", os.getpid())
    assert 0 <= refused["now"] - holder.since < 60
    first.hang_up()
    assert not any(tmp_path.iterdir()) if tmp_path.exists() else True
    granted = take(second, "two", 2).fields
    assert (granted["granted"], granted["died"]) == (True, None)
    second.hang_up()


def test_of_many_at_once_exactly_one_gets_it(tmp_path: Path) -> None:
    pairs = [Pair(tmp_path / "lease") for _ in range(8)]
    granted: list[bool] = []
    threads = [threading.Thread(target=lambda n=n, p=p: granted.append(take(p, f"run{n}").fields["granted"])) for n, p in enumerate(pairs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(granted) == [False] * 7 + [True]
    for pair in pairs:
        pair.hang_up()


def test_it_goes_round_without_ever_being_held_twice(tmp_path: Path) -> None:
    """Holders come and go, each removing the files: a lock on a file that is gone must not count."""
    holding, most, rounds, wanted = 0, 0, 0, 40
    deadline = time.monotonic() + 60  # a busy machine gives few rounds a second
    count = threading.Lock()

    def compete() -> None:
        nonlocal holding, most, rounds
        while rounds < wanted and time.monotonic() < deadline:
            lease = HostLease(tmp_path / "lease")
            lock = lease._take_lock()
            if lock is None:
                continue
            with count:
                holding += 1
                most = max(most, holding)
                rounds += 1
            time.sleep(0.0005)
            with count:
                holding -= 1
            lease._lock = lock
            lease.release()

    threads = [threading.Thread(target=compete) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(70)
    assert most == 1
    assert rounds >= wanted


def test_a_killed_holder_is_named_to_the_next_and_holds_nothing(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from installer_stub.agent.host_lease import *;"
        f"lease = HostLease(Path({str(tmp_path)!r}));"
        "lease._lock = lease._take_lock(); lease._write(Holder('dead', 'a@b', 'install', 1.0, 2.0, 3)); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        pair = Pair(tmp_path)
        assert take(pair, "two").fields["granted"] is False
        holder.kill()
        holder.wait(10)
    granted = take(pair, "two", 2).fields
    assert granted["granted"] is True
    assert granted["died"]["run"] == "dead"
    pair.hang_up()


def test_what_runs_of_a_dead_run_and_cannot_be_ended_keeps_the_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lease.json").write_text(json.dumps({"run": "dead", "who": "a@b", "verb": "x", "since": 1, "heard": 1, "pid": 1}))
    monkeypatch.setattr("installer_stub.agent.host_lease.stop_scope", lambda run: False)
    pair = Pair(tmp_path)
    failed = take(pair, "two")
    assert failed.kind == "failed"
    assert "run dead of a@b" in failed.fields["problem"]
    pair.hang_up()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run": 1}', '{"run":"a","who":"b","verb":"c","since":"x","heard":1,"pid":1}', "\0" * 99])
def test_a_torn_lease_file_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "lease.json").write_text(text)
    pair = Pair(tmp_path)
    granted = take(pair, "one").fields
    assert (granted["granted"], granted["died"]) == (True, None)
    pair.hang_up()


def test_the_holder_writes_down_when_its_operator_was_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("installer_stub.agent.host_lease.BEAT_SECONDS", 0.1)
    pair = Pair(tmp_path)
    take(pair, "one")
    before = json.loads((tmp_path / "lease.json").read_text())["heard"]
    pair.send(0, "ping")
    later: Callable[[], float] = lambda: json.loads((tmp_path / "lease.json").read_text())["heard"]  # noqa: E731
    deadline = time.monotonic() + 10
    while later() <= before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert later() > before
    pair.hang_up()


def test_stubs_on_their_way_go_when_the_lease_is_taken(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "airseal"
    program.parent.mkdir()
    for name in ("airseal", "airseal.new-1", ".airseal.new-2.airseal-new", "airseal.newer"):
        (program.parent / name).write_text("")
    lease = HostLease(tmp_path / "lease", stub=str(program))
    said: list[str] = []
    lease.answer(Request(Frame(1, "lease", {"run": "one", "who": "me", "verb": "install"}), lambda frame: said.append(frame.kind)))
    assert said == ["done"]
    assert sorted(path.name for path in program.parent.iterdir()) == ["airseal", "airseal.newer"]
    lease.release()
