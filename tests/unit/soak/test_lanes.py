"""Scenarios that end well, badly, late and not at all: each becomes a line of the report."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.soak import lanes, results
from tests.soak.installer import Failed
from tests.soak.report import report
from tests.soak.scenario import Desk, Result, Scenario
from tests.soak.table import SCENARIOS, chosen
from tests.soak.torn import kept_files


@pytest.fixture(autouse=True)
def _no_beds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "down", lambda _cache, _bed: 0)


def run(act: object, tmp_path: Path, minutes: float = 1) -> Result:
    return lanes.run_one(Scenario("one", minutes, act), Desk(tmp_path / "x.run", tmp_path / "one", tmp_path, "soak-1"))  # type: ignore[arg-type]


def good(desk: Desk) -> None:
    """Does what it must.

    And more.
    """
    desk.figures["whole after"] = "3 s | 4"


def bad(desk: Desk) -> None:
    """Does not."""
    raise Failed("m1: file /etc/x: gone")


def broken(desk: Desk) -> None:
    """Is a mistake of the scenario."""
    raise KeyError("absent")


def slow(desk: Desk) -> None:
    """Takes too long, and swallows whatever it can."""
    while True:
        with contextlib.suppress(Exception):
            time.sleep(60)


def test_every_end_is_a_result(tmp_path: Path) -> None:
    assert run(good, tmp_path).passed
    assert run(bad, tmp_path).said == "m1: file /etc/x: gone"
    assert "KeyError" in run(broken, tmp_path).said
    assert run(slow, tmp_path, minutes=0.005).outcome == "late"


def test_a_result_comes_back_from_its_file(tmp_path: Path) -> None:
    result = run(good, tmp_path)
    results.write_result(tmp_path / "result.json", result)
    assert results.read_result(tmp_path / "result.json") == result


def test_the_report_has_a_line_for_each_and_the_words_of_those_that_failed(tmp_path: Path) -> None:
    asked = [Scenario(name, 1, good) for name in ("one", "two", "three")]
    ends = [run(good, tmp_path), replace(run(bad, tmp_path), name="two")]
    text = report(ends, asked, commit="abc", machine="2 cores", when="2026-11-26")
    assert "1 of 2 scenarios passed; 1 of 3 were not run" in text
    assert "| one | passed |" in text
    assert "3 s \\| 4" in text
    assert "| two | **failed** |" in text
    assert "m1: file /etc/x: gone" in text
    assert "Not run: three." in text


def test_a_scenario_is_what_it_was_last_and_an_earlier_failure_is_still_told(tmp_path: Path) -> None:
    file = tmp_path / "one" / "result.json"
    for act in (bad, good):
        results.set_aside(file)
        results.write_result(file, run(act, tmp_path))
    text = report(results.all_results([tmp_path]), [Scenario("one", 1, good)], commit="abc", machine="2 cores", when="2026-11-26")
    assert "1 of 1 scenarios passed; 0 of 1 were not run" in text
    assert "### one: failed" in text
    assert "m1: file /etc/x: gone" in text


def test_names_are_each_ones_own_and_every_scenario_says_what_it_is() -> None:
    names = [one.name for one in SCENARIOS]
    assert len(set(names)) == len(names)
    assert all(len(one.what) > 20 for one in SCENARIOS)
    assert len(chosen(["one-kill-*"])) >= 40
    assert len(chosen(["one-cut-*"])) >= 20
    assert [one.name for one in chosen(["clean-*"])] == ["clean-1+1", "clean-3+1"]


@pytest.mark.parametrize("kind", ["kill-1+1", "kill-3+1", "cut-1+1", "cut-3+1"])
def test_rows_have_each_moment_once_and_in_order(kind: str) -> None:
    rows = [list(one.act.keywords["numbers"]) for one in chosen([f"{kind}-?"])]  # type: ignore[attr-defined]
    alone = [number for one in chosen([f"one-{kind}-*"]) for number in one.act.keywords["numbers"]]  # type: ignore[attr-defined]
    assert sorted(number for row in rows for number in row) == alone == list(range(len(alone)))
    assert all(row == sorted(row) and row[-1] - row[0] > len(alone) / 2 for row in rows)  # early ones and late ones in each


def test_what_is_torn_are_records_keys_and_settings_and_not_the_artifact(tmp_path: Path) -> None:
    state = tmp_path / "var/lib/airseal"
    (state / "bundles").mkdir(parents=True)
    (state / "cluster.json").write_text("{}")
    (state / "task.log").write_text("said")
    (state / "empty").touch()
    (state / "link").symlink_to("cluster.json")
    with (state / "bundles" / "shop.run").open("wb") as file:
        file.truncate(9 << 20)
    assert kept_files(tmp_path) == ["/var/lib/airseal/cluster.json"]
