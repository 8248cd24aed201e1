"""A stand-in for the installer that announces phases: moments come when they must, and nothing of it outlives a kill."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.soak.installer import Failed, Installer
from tests.soak.moments import Moment, Timeline
from tests.soak.scenario import named

SCRIPT = """\
echo '[1/3] Claim the hosts: nothing to do'
echo '[2/3] Copy the bundle (10.0.0.2)'
sleep 60 >/dev/null 2>&1 &
echo $! > {pid}
sleep {pause}
echo '[3/3] Start' >&2
exit {code}
"""


def start(tmp_path: Path, *, pause: float = 0.0, code: int = 0) -> Installer:
    script = tmp_path / "installer"
    script.write_text(SCRIPT.format(pid=tmp_path / "pid", pause=pause, code=code))
    return Installer(["/bin/sh", str(script)], tmp_path / "install.log")


def test_it_is_killed_at_its_moment_with_all_that_it_started(tmp_path: Path) -> None:
    with start(tmp_path, pause=60) as installer:
        assert installer.until(Moment("Copy the bundle", 0.2))
        installer.kill()
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child)
    assert "[2/3] Copy the bundle" in (tmp_path / "install.log").read_text()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_moment_that_never_comes_is_told_from_one_that_came(tmp_path: Path) -> None:
    with start(tmp_path) as installer:
        assert not installer.until(Moment("Claim the hosts", 30.0))  # announced, but with nothing to do: said at once
        installer.wait().expect(0)
    with start(tmp_path) as installer:
        assert not installer.until(Moment("Copy", 30.0))  # it ended before the offset was over


def test_both_outputs_are_read_and_another_exit_code_is_said(tmp_path: Path) -> None:
    with start(tmp_path, code=4) as installer:
        ended = installer.wait()
    assert ended.said.splitlines()[-1] == "[3/3] Start"
    with pytest.raises(Failed, match=r"ended with 4 instead of 0 or 5"):
        ended.expect(0, 5)
    assert ended.expect(4) is ended


def test_one_that_hangs_is_killed_and_said(tmp_path: Path) -> None:
    with start(tmp_path, pause=60) as installer, pytest.raises(Failed, match="did not end"):
        installer.wait(timeout=0.5)


LINES = [(1.0, "[1/4] Claim"), (2.0, "[2/4] Copy (10.0.0.2)"), (2.5, "  10.0.0.2: 5 MB"), (42.0, "[3/4] Start: nothing to do"), (42.0, "[4/4] Settle"), (50.0, "done")]


def test_a_timeline_knows_how_long_each_phase_took() -> None:
    assert Timeline.of(LINES).durations == (("Claim", 1.0), ("Copy", 40.0), ("Settle", 8.0))


def test_moments_are_the_same_each_time_lie_inside_their_phase_and_leave_none_out() -> None:
    timeline = Timeline.of(LINES)
    moments = timeline.moments(20, 7)
    assert moments == timeline.moments(20, 7)
    assert len(moments) == 20
    assert {moment.title for moment in moments} == {"Claim", "Copy", "Settle"}
    assert all(0 <= moment.offset <= dict(timeline.durations)[moment.title] for moment in moments)
    assert [moment.title for moment in timeline.moments(1, 7)] == ["Copy"]
    assert Timeline((), 0.0).moments(3, 7) == []


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        (["[7/19] Copy (10.0.0.2)"], True),
        (["  Copying"], None),
        (["[7/19] Copy: nothing to do"], False),
        (["[6/19] Claim"], None),
    ],
)
def test_a_moment_is_known_by_its_title_whatever_its_number(lines: list[str], *, seen: bool | None) -> None:
    assert Moment("Copy", 0).seen(lines) is seen


def test_a_title_that_comes_twice_is_two_moments() -> None:
    timeline = Timeline.of([(1.0, "[1/3] Keep"), (2.0, "[2/3] Copy"), (3.0, "[3/3] Keep"), (4.0, "done")])
    first, _, second = timeline.moments(3, 7)
    assert (first.nth, second.nth) == (1, 2)
    begun = ["[1/3] Keep: nothing to do", "[2/3] Copy"]
    assert first.seen(begun) is False
    assert second.seen(begun) is None
    assert second.seen([*begun, "[3/3] Keep"]) is True


def test_a_host_that_is_left_out_is_not_named() -> None:
    words = ["x", "--master", "a,b", "--node", "c", "--yes"]
    named(words, "--master", ["b", "c"])
    named(words, "--node", ["a"])
    assert words == ["x", "--master", "b", "--yes"]
