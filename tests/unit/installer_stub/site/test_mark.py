"""The mark is made by one of two, and nobody who is killed leaves anything beside it: with a real shell and real processes."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from installer_stub.site import store


def begin(target: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", "-ec", store._CREATE, "sh", str(target)], stdin=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes], content: bytes) -> int:
    process.communicate(content, timeout=20)
    return process.returncode


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_the_first_one_makes_it_and_the_second_is_told(tmp_path: Path) -> None:
    mark = tmp_path / "deep/cluster.json"
    first, second = begin(mark), begin(mark)
    assert finish(first, b"first") == 0
    assert finish(second, b"second") == store._TAKEN
    assert (mark.read_bytes(), names(mark.parent)) == (b"first", ["cluster.json"])
    assert mark.stat().st_mode & 0o777 == 0o600


def test_what_a_killed_one_left_goes_when_the_mark_is_made(tmp_path: Path) -> None:
    mark = tmp_path / "cluster.json"
    killed = begin(mark)
    deadline = time.monotonic() + 20
    while not names(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert len(names(tmp_path)) == 1, "cut while it wrote"
    assert finish(begin(mark), b"next") == 0
    assert (mark.read_bytes(), names(tmp_path)) == (b"next", ["cluster.json"])


@pytest.mark.parametrize("there", [b"", b"theirs"])
def test_a_mark_that_is_there_is_never_replaced(tmp_path: Path, there: bytes) -> None:
    mark = tmp_path / "cluster.json"
    mark.write_bytes(there)
    assert finish(begin(mark), b"ours") == store._TAKEN
    assert (mark.read_bytes(), names(tmp_path)) == (there, ["cluster.json"])
