"""The log has everything but secrets, and is the operator's alone."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from installer_stub.host.command import Secret
from installer_stub.ui.logfile import log_file


def test_everything_is_in_it_and_secrets_are_not(tmp_path: Path) -> None:
    secrets = [Secret("hunter2")]
    with log_file("shop-install", secrets, directory=tmp_path) as path:
        logging.getLogger("airseal.host").debug("10.0.0.2: ran with %s", "hunter2")
        secrets.append(Secret("learnt-later"))
        logging.getLogger("airseal.ui").info("learnt-later")
        try:
            int("hunter2")
        except ValueError:
            logging.getLogger("airseal").exception("mistake")
    logging.getLogger("airseal.host").debug("after")
    text = path.read_text()
    assert "10.0.0.2: ran with ******" in text
    assert "literal for int() with base 10: '******'" in text
    assert not [word for word in ("hunter2", "learnt-later", "after") if word in text]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent == tmp_path


def test_where_nothing_can_be_written_it_goes_elsewhere(tmp_path: Path) -> None:
    with log_file("shop", directory=tmp_path / "missing") as path:
        logging.getLogger("airseal").info("here")
    assert "here" in path.read_text()
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.unlink()
    path.parent.rmdir()


@pytest.mark.parametrize("trap", ["link", "dangling link", "file that others read", "pipe", "directory"])
def test_what_lies_in_its_way_is_neither_followed_nor_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str) -> None:
    victim = tmp_path / "victim"
    monkeypatch.setattr("installer_stub.ui.logfile._name", lambda _: "run.log")
    path = tmp_path / "run.log"
    if trap == "link":
        victim.write_text("mine")
    if trap.endswith("link"):
        path.symlink_to(victim)
    elif trap == "pipe":
        os.mkfifo(path)
    elif trap == "directory":
        path.mkdir()
    else:
        path.write_text("")
        path.chmod(0o666)
    with log_file("shop", directory=tmp_path) as found:
        logging.getLogger("airseal").info("x")
    assert found == tmp_path / "run-2.log"
    assert found.stat().st_mode & 0o777 == 0o600
    assert (victim.read_text() if victim.exists() else "mine") == "mine"
    assert not path.is_file() or path.read_text() in {"", "mine"}


def test_where_every_name_is_taken_it_goes_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("installer_stub.ui.logfile._name", lambda _: "run.log")
    for number in range(1, 20):
        (tmp_path / (f"run-{number}.log" if number > 1 else "run.log")).write_text("")
    with log_file("shop", directory=tmp_path) as path:
        pass
    assert path.parent != tmp_path
    path.unlink()
    path.parent.rmdir()


def test_a_stick_that_is_pulled_out_ends_the_log_and_not_the_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with log_file("shop", directory=tmp_path):
        handler = logging.getLogger("airseal").handlers[-1]
        assert isinstance(handler, logging.StreamHandler)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, handler.stream.fileno())
        os.close(full)
        logging.getLogger("airseal").info("x")
    assert capfd.readouterr().err == ""


def test_the_only_log_of_a_build_takes_the_place_of_the_last(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with log_file("shop.run", directory=tmp_path, only=True) as path:
            logging.getLogger("airseal.x").info(text)
    assert [entry.name for entry in tmp_path.iterdir()] == ["shop.run.log"] == [path.name]
    assert "second" in path.read_text()
    assert "first" not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
