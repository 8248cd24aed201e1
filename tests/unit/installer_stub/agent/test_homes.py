"""Directories of stubs: what nothing runs from goes, and nothing else."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from installer_stub.agent.homes import home_name, own_home, sweep_homes

TOKEN = "0123456789ab"


def home(bin_directory: Path, digit: str, *, age: float = 3600.0) -> Path:
    made = bin_directory / home_name(digit * 64, TOKEN)
    (made / "_internal").mkdir(parents=True)
    (made / "airseal").write_text(digit)
    status = made.stat()
    os.utime(made, (status.st_atime, status.st_mtime - age))
    return made


def test_what_nothing_runs_from_goes(tmp_path: Path) -> None:
    place, processes = tmp_path / "bin", tmp_path / "proc"
    now, served, old, beginning = home(place, "a"), home(place, "b"), home(place, "c"), home(place, "d", age=1.0)
    stub = place / "airseal"
    stub.symlink_to(f"{now.name}/airseal")
    for number, program in (("1", "/usr/lib/systemd/systemd"), ("77", str(served / "airseal")), ("78", f"{old}/airseal (deleted)/x")):
        (processes / number).mkdir(parents=True)
        (processes / number / "exe").symlink_to(program)
    (processes / "79").mkdir()
    (processes / "self").mkdir()
    others = [place / "mine", place / f"{'c' * 64}", place / "airseal.new-1"]
    for each in others:
        each.mkdir()
    sweep_homes(stub, processes=processes)
    assert sorted(place.iterdir()) == sorted([now, served, beginning, stub, *others])


@pytest.mark.parametrize("stub", ["one file", "none", "a link out of it"])
def test_beside_what_is_no_link_into_a_home_nothing_is_touched(tmp_path: Path, stub: str) -> None:
    place = tmp_path / "bin"
    old = home(place, "c")
    (tmp_path / "proc").mkdir()
    if stub == "one file":
        (place / "airseal").write_text("")
    elif stub == "a link out of it":
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "x").write_text("")
        (place / "airseal").symlink_to("../elsewhere/x")
    sweep_homes(place / "airseal", processes=tmp_path / "proc")
    assert old.exists()


def test_only_a_program_that_was_laid_out_has_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_home() is None
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path / "_MEIabc"), raising=False)
    assert own_home() is None
    program = Path(os.path.realpath("/proc/self/exe"))
    monkeypatch.setattr(sys, "_MEIPASS", str(program.parent / "_internal"))
    assert own_home() == program.parent
