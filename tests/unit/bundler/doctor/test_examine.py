"""What speaks against a build is said, with what to do; what nobody can tell is neither yes nor no."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import pytest

from bundler.doctor import examine
from bundler.doctor.examine import Answer, of_disk, of_engine, of_machine

GOOD: dict[str, Any] = {"ServerVersion": "20.10", "OperatingSystem": "Debian", "NCPU": 2, "Architecture": platform.machine(), "MemTotal": 8 << 30, "SecurityOptions": ["name=seccomp"]}


def answers(info: dict[str, Any], address: str = "") -> dict[str, Answer]:
    return {each.what: each.answer for each in of_engine(info, address)}


def test_a_sound_engine_has_nothing_against_it() -> None:
    assert set(answers(GOOD).values()) == {Answer.YES}
    assert set(answers(GOOD, "unix:///var/run/docker.sock").values()) == {Answer.YES}


@pytest.mark.parametrize(
    ("change", "address", "what", "answer"),
    [
        ({}, "tcp://docker:2376", "the engine is on this machine", Answer.NO),
        ({}, "ssh://build", "the engine is on this machine", Answer.NO),
        ({"Architecture": "riscv64"}, "", "hosts of this architecture", Answer.NO),
        ({"MemTotal": 1 << 30}, "", "memory for a cluster", Answer.NO),
        ({"MemTotal": 0}, "", "memory for a cluster", Answer.UNKNOWN),
        ({"SecurityOptions": ["name=rootless"]}, "", "containers may be privileged", Answer.NO),
        ({"SecurityOptions": ["name=userns"]}, "", "containers may be privileged", Answer.NO),
    ],
)
def test_what_speaks_against_a_build(change: dict[str, Any], address: str, what: str, answer: Answer) -> None:
    found = answers({**GOOD, **change}, address)
    assert found.pop(what) is answer
    assert set(found.values()) == {Answer.YES}


def test_every_other_answer_than_yes_says_what_to_do() -> None:
    for each in of_engine({}, "tcp://x"):
        assert each.answer is Answer.YES or "what to do: " in each.line(), each


def test_room_is_looked_at_where_the_directory_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_disk("room", tmp_path / "not/there/yet", 1).answer is Answer.YES
    assert of_disk("room", tmp_path, 1 << 60).answer is Answer.NO

    def broken(_path: Path) -> object:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(examine.shutil, "disk_usage", broken)
    assert of_disk("room", tmp_path, 1).answer is Answer.UNKNOWN


def test_a_machine_without_a_client_or_a_python_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine.shutil, "which", lambda _name: None)
    monkeypatch.setattr(examine, "is_built", lambda _cache: False)
    monkeypatch.setattr(examine, "obstacle", lambda: "there is no autoreconf")
    found = {each.what: each for each in of_machine(tmp_path, "")}
    assert found["a docker client, for BuildKit"].answer is Answer.NO
    assert "no autoreconf" in found["a Python to freeze that starts on glibc 2.17"].line()
    assert found["room in docker"].answer is Answer.UNKNOWN
