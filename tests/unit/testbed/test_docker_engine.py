"""Which capabilities the engine's host lacks is read from the kernel's own words."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.testbed.docker_engine import forget_stopped, missing_capabilities


@pytest.mark.parametrize(
    ("bounding", "missing"),
    [
        ("000001ffffffffff", []),
        ("000001fffeffffff", ["SYS_RESOURCE"]),
        ("000000fffffffffe", ["CHOWN", "CHECKPOINT_RESTORE"]),
    ],
)
def test_a_missing_bit_is_a_missing_capability(bounding: str, missing: list[str]) -> None:
    assert list(missing_capabilities(f"Name:\tx\nCapBnd:\t{bounding}\n")) == missing


def test_only_pid_files_of_programs_that_run_no_more_are_forgotten(tmp_path: Path) -> None:
    """A number that another program has now is as good as none."""
    mine, other, gone, torn = (tmp_path / name for name in ("mine", "other", "gone", "torn"))
    running = subprocess.Popen(["sleep", "60"])
    try:
        while Path(f"/proc/{running.pid}/comm").read_text() != "sleep\n":  # between exec and its new name
            assert running.poll() is None
        mine.write_text(f"{running.pid}\n")
        other.write_text(f"{running.pid}\n")
        gone.write_text("4194304\n")  # one more than pid_max allows
        torn.write_text("")
        forget_stopped({mine: "sleep", other: "dockerd", gone: "dockerd", torn: "dockerd"})
        assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "torn"]
    finally:
        running.kill()
        running.wait()
