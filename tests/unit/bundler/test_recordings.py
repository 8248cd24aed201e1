"""A recording's directory lasts as long as its build, and what a killed one left is removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.recordings import working_directory


def test_it_is_gone_with_its_build(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), working_directory(tmp_path):
        raise KeyboardInterrupt
    assert [path for path in (tmp_path / "recordings").iterdir() if path.is_dir()] == []


def test_the_living_stay_and_the_dead_go(tmp_path: Path) -> None:
    for dead in ("killed", "killed-early"):
        (tmp_path / "recordings" / dead).mkdir(parents=True)
    (tmp_path / "recordings" / "killed" / "alive").write_text("")
    with working_directory(tmp_path) as first, working_directory(tmp_path) as second:
        assert {path.name for path in (tmp_path / "recordings").iterdir() if path.is_dir()} == {first.name, second.name}
