"""What speaks against a build is said, with what to do; what nobody can tell is neither yes nor no."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler.doctor import examine
from bundler.doctor.examine import Answer, of_clients, of_disk, of_engine, of_machine, of_way
from bundler.errors import ClusterFailed, DockerError
from bundler.lab.way import Way

GOOD: dict[str, Any] = {"ServerVersion": "20.10", "OperatingSystem": "Debian", "NCPU": 2, "Architecture": platform.machine(), "MemTotal": 8 << 30, "SecurityOptions": ["name=seccomp"]}


def answers(info: dict[str, Any]) -> dict[str, Answer]:
    return {each.what: each.answer for each in of_engine(info)}


def test_a_sound_engine_has_nothing_against_it() -> None:
    assert set(answers(GOOD).values()) == {Answer.YES}


@pytest.mark.parametrize(
    ("change", "what", "answer"),
    [
        ({"Architecture": "riscv64"}, "hosts of this architecture", Answer.NO),
        ({"MemTotal": 1 << 30}, "memory for a cluster", Answer.NO),
        ({"MemTotal": 0}, "memory for a cluster", Answer.UNKNOWN),
        ({"SecurityOptions": ["name=rootless"]}, "containers may be privileged", Answer.NO),
        ({"SecurityOptions": ["name=userns"]}, "containers may be privileged", Answer.NO),
    ],
)
def test_what_speaks_against_a_build(change: dict[str, Any], what: str, answer: Answer) -> None:
    found = answers({**GOOD, **change})
    assert found.pop(what) is answer
    assert set(found.values()) == {Answer.YES}


def raising(error: Exception) -> Callable[[], Way]:
    def look() -> Way:
        raise error

    return look


@pytest.mark.parametrize(
    ("look", "answer", "words"),
    [
        (lambda: Way.DIRECT, Answer.YES, "directly"),
        (lambda: Way.RELAY, Answer.YES, "by a relay"),
        (raising(DockerError("docker cannot make a network: no pool", "free one")), Answer.NO, "no pool"),
        (raising(ClusterFailed("this machine does not tell", "say which")), Answer.UNKNOWN, "say which"),
    ],
)
def test_how_hosts_will_come_to_the_recorder(look: Callable[[], Way], answer: Answer, words: str) -> None:
    found = of_way(look)
    assert found.answer is answer
    assert words in found.line()


@pytest.mark.parametrize(
    ("environment", "config", "answer"),
    [
        ({}, None, Answer.YES),
        ({}, "{}", Answer.YES),
        ({}, '{"currentContext": "default"}', Answer.YES),
        ({}, '{"currentContext": "colima"}', Answer.NO),
        ({"DOCKER_HOST": "tcp://docker:2376"}, '{"currentContext": "colima"}', Answer.YES),
        ({"DOCKER_CONTEXT": "colima"}, "{}", Answer.NO),
        ({}, "[", Answer.UNKNOWN),
        ({}, "[]", Answer.UNKNOWN),
    ],
)
def test_docker_s_own_client_may_speak_to_another_engine(environment: dict[str, str], config: str | None, answer: Answer, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    if config is not None:
        file.write_text(config)
    found = of_clients(environment, file)
    assert found.answer is answer
    assert answer is Answer.YES or "what to do: " in found.line()


def test_every_other_answer_than_yes_says_what_to_do() -> None:
    for each in of_engine({}):
        assert each.answer is Answer.YES or "what to do: " in each.line(), each


def test_room_is_looked_at_where_the_directory_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_disk("room", tmp_path / "not/there/yet", 1).answer is Answer.YES
    assert of_disk("room", tmp_path, 1 << 60).answer is Answer.NO

    def broken(_path: Path) -> object:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(examine.shutil, "disk_usage", broken)
    assert of_disk("room", tmp_path, 1).answer is Answer.UNKNOWN


def test_a_machine_without_a_client_or_an_installer_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine.shutil, "which", lambda _name: None)
    found = {each.what: each for each in of_machine(tmp_path, "")}
    assert found["a docker client, for BuildKit"].answer is Answer.NO
    line = next(each.line() for what, each in found.items() if what.startswith("the installer for hosts like this machine"))
    assert "there is no installer for" in line
    assert "make stub" in line
    assert found["room in docker"].answer is Answer.UNKNOWN
