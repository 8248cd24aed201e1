"""A login in a file: made once, whole, for its owner alone; refused where others can read it."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from installer_stub.cli import main
from installer_stub.errors import UsageError
from installer_stub.hostside.credential import is_loopback, read_credential


def write(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def make(path: Path) -> int:
    return main(["host", "new-credential", "--file", str(path), "--user", "airseal"])


def test_it_is_made_once_with_256_random_bits_and_printed_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "etc" / "registry.credential"
    umask = os.umask(0)
    try:
        assert make(path) == 0
    finally:
        os.umask(umask)
    line = path.read_text()
    assert re.fullmatch(r"airseal:[A-Za-z0-9_-]{43}\n", line)  # 43 characters of base64 are 256 bits
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.stat()
    assert make(path) == 0
    assert (path.read_text(), path.stat().st_ino, path.stat().st_mtime_ns) == (line, before.st_ino, before.st_mtime_ns)
    assert make(tmp_path / "other") == 0
    assert (tmp_path / "other").read_text() != line
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert capfd.readouterr() == ("", "")
    read = read_credential(path)
    assert f"{read.user}:{read.password}\n" == line


def test_what_a_killed_run_left_is_no_login(tmp_path: Path) -> None:
    """Killed before the rename: the next run makes one, and does not stumble over the part."""
    (tmp_path / ".login.airseal-part").write_text("airseal:ha")
    assert make(tmp_path / "login") == 0
    assert [each.name for each in tmp_path.iterdir()] == ["login"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o610])
def test_a_file_that_others_can_use_is_refused_and_the_error_says_chmod(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "login", b"u:hunter2\n", mode)
    with pytest.raises(UsageError, match=f"others can read it \\(mode 0{mode:o}\\)") as caught:
        read_credential(path)
    assert caught.value.remedy == f"chmod 600 {path}"
    assert read_credential(write(path, b"u:hunter2\n", 0o400)).password == "hunter2"


@pytest.mark.parametrize("content", [b"", b"\n", b"hunter2\n", b":hunter2", b"hunter2:", b"\nu:hunter2\n", b"u:hunter2\xff", b"u:hunter2\x00", b"u:" + b"hunter2" * 600])
def test_a_file_without_a_login_is_named_and_not_quoted(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "login", content)
    with pytest.raises(UsageError, match=r"the first line of .*/login is not user:password") as caught:
        read_credential(path)
    assert "hunter2" not in str(caught.value)
    assert make(path) == 2
    assert path.read_bytes() == content


def test_a_file_that_is_not_there_or_no_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(UsageError, match=f"{path} cannot be read"):
            read_credential(path)


def test_what_stays_on_this_machine() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.2", "fe80::1", "localhost.example", "master")))
