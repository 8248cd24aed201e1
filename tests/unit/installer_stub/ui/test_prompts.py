"""Questions with and without somebody to answer."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import time

import pytest

from installer_stub.errors import UsageError
from installer_stub.host.known_hosts import FirstContact, HostKey
from installer_stub.host.model import Host, Role
from installer_stub.ui import prompts

NEW = [FirstContact(Host("10.0.0.2", Role.MASTER), HostKey("ssh-ed25519", "a2V5"))]


@pytest.mark.parametrize(
    ("typed", "answer"), [("yes\n", True), ("Y\n", True), ("no\n", False), ("", False), ("what\nyes\n", True), ("\nn\n", False)]
)
def test_yes_or_no(monkeypatch: pytest.MonkeyPatch, typed: str, *, answer: bool) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert prompts.confirm("Sure?") is answer


def test_a_password_from_stdin_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("pass word\nnext"))
    assert prompts.ask_secret("Password").reveal() == "pass word"
    assert prompts.ask_secret("Password").reveal() == "next"
    with pytest.raises(UsageError, match="nobody to ask"):
        prompts.ask_secret("Password")


def test_a_typed_password_is_not_shown() -> None:
    probe = "from installer_stub.ui.prompts import ask_secret; print(len(ask_secret('Password').reveal()))"
    ours, theirs = pty.openpty()
    child = subprocess.Popen([sys.executable, "-c", probe], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    seen = os.read(ours, 1000)
    while b"Password: " not in seen:
        seen += os.read(ours, 1000)
    time.sleep(0.2)
    os.write(ours, b"hunter2\n")
    assert child.wait(10) == 0
    seen += os.read(ours, 1000)
    os.close(ours)
    assert b"hunter2" not in seen
    assert b"7" in seen


def test_new_host_keys_need_a_person(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert prompts.host_keys() is None  # nobody sits at a test
    monkeypatch.setattr(prompts, "is_interactive", lambda: True)
    ask = prompts.host_keys()
    assert ask is not None
    for typed, answer in (("no\n", False), ("", False), ("yes\n", True)):
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        assert ask(NEW) is answer
        assert f"10.0.0.2  ssh-ed25519 {NEW[0].key.fingerprint}" in capsys.readouterr().err
