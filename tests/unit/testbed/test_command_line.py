"""The command line explains itself, and an error is one sentence, not a traceback."""

from __future__ import annotations

import pytest

from tests.testbed.__main__ import main


def test_help_names_every_command_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(
        command in text for command in ("up", "down", "parts", "internet", "status", "env", "examples:")
    )


def test_an_error_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--name", "No Such Name"]) == 1
    assert "use up to 20 lower-case letters" in capsys.readouterr().err
