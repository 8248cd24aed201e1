"""How root's command lines look, and what sudo's complaints mean; real sudo is in the contract test."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from installer_stub.host.become import WITH_PASSWORD, WITHOUT_PASSWORD, Become, proves_root, refusal
from installer_stub.host.command import CommandResult, Secret
from installer_stub.host.model import Host, Role

HOST = Host("10.0.0.2", Role.MASTER, user="ops")


def test_a_line_is_one_word_for_the_last_shell() -> None:
    words = shlex.split(Become(WITHOUT_PASSWORD).line("echo 'a b'; id", 2.5))
    assert words[:5] == ["exec", "env", "LC_ALL=C", "sudo", "-k"]
    assert words[-3:] == ["/bin/sh", "-c", "cd /; echo 'a b'; id"]
    assert words[words.index("timeout") :][:4] == ["timeout", "-k", "5", "3"]


def test_the_line_runs_in_a_clean_environment() -> None:
    done = subprocess.run(["/bin/sh", "-c", Become().line("env; pwd")], capture_output=True, text=True, check=True, env={"SECRET": "x", "PATH": "/usr/bin:/bin"})
    assert "SECRET" not in done.stdout
    assert done.stdout.endswith("/\n")


def test_the_password_is_on_stdin_only() -> None:
    become = Become(WITH_PASSWORD, Secret("pass word"))
    assert become.stdin() == b"pass word\n"
    assert "pass word" not in become.line("true") + repr(become)
    assert Become().stdin() == b""


@pytest.mark.parametrize(("stdout", "proof"), [("0\n", True), ("0\npass word\n", False), ("1000\n", False), ("hi\n0\n", False)])
def test_only_an_empty_stdin_proves_root(*, stdout: str, proof: bool) -> None:
    assert proves_root(CommandResult(0, stdout, "")) is proof


@pytest.mark.parametrize(
    ("status", "stderr", "password", "problem", "remedy"),
    [
        (1, "sudo: a password is required", False, "asks ops for a password", "--ask-become-pass"),
        (1, "Sorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt", True, "refused the password", "--ask-become-pass"),
        (1, "sudo: sorry, you must have a tty to run sudo", True, "requiretty", "!requiretty"),
        (1, "ops is not in the sudoers file.", True, "may not use sudo", "visudo"),
        (1, "Sorry, user ops is not allowed to execute '/usr/bin/env' as root on host.", True, "may not use sudo", "visudo"),
        (127, "env: 'sudo': No such file or directory", False, "no sudo", "install sudo"),
        (1, "sudo: unable to open audit system", True, "status 1", "sudo id"),
    ],
)
def test_what_sudo_says(*, status: int, stderr: str, password: bool, problem: str, remedy: str) -> None:
    error = refusal(HOST, CommandResult(status, "", stderr), password=password)
    assert problem in error.problem
    assert remedy in error.remedy
