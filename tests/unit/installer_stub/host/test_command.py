"""Quoting and masking."""

from __future__ import annotations

import subprocess

import pytest

from installer_stub.host.command import Command, CommandResult, Secret, masked
from installer_stub.host.model import Host, Role
from installer_stub.host.outcome import command_failed

HOST = Host("10.0.0.2", Role.MASTER)


@pytest.mark.parametrize("argument", ["plain", "a b", "it's", "$(id)", "*", "", "-n", "new\nline"])
def test_arguments_are_never_read_by_the_shell(argument: str) -> None:
    for command in (Command.of("printf", "%s", argument), Command.shell('printf %s "$1"', argument)):
        done = subprocess.run(["/bin/sh", "-c", command.text], capture_output=True, text=True, check=True)
        assert done.stdout == argument


def test_a_secret_shows_stars_however_it_is_printed() -> None:
    secret = Secret("hunter2")
    assert {str(secret), repr(secret), f"{secret}", f"{secret!r}", str([secret])} == {"******", "[******]"}
    assert "hunter2" not in repr(Command.of("x", stdin=secret))


@pytest.mark.parametrize(
    ("text", "secret", "expected"),
    [
        ("password=hunter2!", "hunter2", "password=******!"),
        ("line TOKEN-ONE end", "---\nTOKEN-ONE\n", "line ****** end"),
        ("--- stays", "---\nTOKEN-ONE\n", "--- stays"),
        ("nothing", "", "nothing"),
        ("pw\n", "pw\n", "******\n"),
    ],
)
def test_masking(text: str, secret: str, expected: str) -> None:
    assert masked(text, [Secret(secret)]) == expected


@pytest.mark.parametrize(
    ("result", "timeout", "words"),
    [
        (CommandResult(1, "", "boom\n"), None, ["ended with status 1", "boom"]),
        (CommandResult(1, "only stdout\n", ""), None, ["only stdout"]),
        (CommandResult(124, "", ""), 5, ["did not end within 5 s"]),
        (CommandResult(124, "", ""), None, ["ended with status 124"]),
        (CommandResult(137, "", ""), None, ["was killed"]),
        (CommandResult(1, "", "write: No space left on device"), None, ["free space"]),
        (CommandResult(127, "", "sh: x: not found"), None, ["install the missing program"]),
        (CommandResult(1, "", "said hunter2"), None, ["said ******"]),
    ],
)
def test_failures_say_how(result: CommandResult, timeout: float | None, words: list[str]) -> None:
    error = command_failed(HOST, Command.of("do", "it", changes="do it"), result, secrets=[Secret("hunter2")], timeout=timeout)
    assert str(error).startswith("10.0.0.2: could not do it: `do it`")
    assert [word for word in words if word not in str(error)] == []
