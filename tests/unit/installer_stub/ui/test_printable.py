"""Whatever others put into a name, a label or an output, a terminal is sent letters only."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer_stub import cli, crash
from installer_stub.host.known_hosts import FirstContact, HostKey
from installer_stub.host.model import Host, Role
from installer_stub.ui import prompts
from installer_stub.ui.console import BarConsole, JsonConsole, LineConsole
from installer_stub.ui.logfile import log_file
from installer_stub.ui.printable import json_text, printable, say

EVIL = [
    "\x1b]0;owned\x07",  # the window's title
    "\x1b[2J\x1b[H",  # an empty screen
    "\x1b[8mhidden\x1b[0m",
    "\x9b31m",  # CSI in one byte
    "\x07\x08\x08\x08",
    "ok\rerror",  # a line written over
    "abc\u202egpj.exe",  # right to left
    "a\u200bb",  # a blank that is none
    "\udc80",  # what is no UTF-8
    "\x00",
    "\x7f",
    "\U000e0041",  # a tag
]
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e0fff]")


def assert_harmless(text: str) -> None:
    assert not OBEYED.search(text), text.encode("unicode_escape")


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("lines", [True, False])
def test_what_a_terminal_would_obey_is_shown(evil: str, *, lines: bool) -> None:
    shown = printable(f"before {evil} after", lines=lines)
    assert_harmless(shown)
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert "\\" in shown


@pytest.mark.parametrize("text", ["Müller & Söhne", "公司服务器", "Århus", "مرحبا", "🚢 shop", "a  b", "~!@#$%^&*()\\"])
def test_letters_of_any_language_stay(text: str) -> None:
    assert printable(text) == printable(text, lines=False) == text


def test_line_ends_stay_where_lines_are_meant_and_nowhere_else() -> None:
    assert printable("one\r\n\ttwo\nthree") == "one\n\ttwo\nthree"
    assert printable("one\ntwo\tx", lines=False) == r"one\x0atwo\x09x"
    assert printable("\x1b") == r"\x1b"


@given(st.text())
def test_any_text_becomes_harmless_and_is_written_by_any_stream(text: str) -> None:
    for shown in (printable(text), printable(text, lines=False)):
        assert all(letter.isprintable() or letter in "\n\t" for letter in shown)
        shown.encode()
    assert printable(printable(text)) == printable(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5))
def test_json_says_the_same_in_harmless_letters(value: object) -> None:
    text = json_text(value)
    assert all(letter.isprintable() for letter in text)
    assert json.loads(text) == value


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("evil", EVIL)
class TestEveryWayToTheScreen:
    def test_steps_and_events(self, evil: str) -> None:
        for kind in (LineConsole, BarConsole, JsonConsole):
            out = io.StringIO()
            screen = kind(out)
            screen.step(f"task said {evil}")
            screen.event("finding", evil, remedy=evil)
            if kind is not BarConsole:  # see below
                screen.moved(evil, 10, 10)
            screen.close()
            assert_harmless(out.getvalue())
            assert "task said" in out.getvalue()

    def test_bars(self, evil: str) -> None:
        out = Terminal()
        screen = BarConsole(out)
        screen.moved(evil, 1, 10)
        screen.step(evil)
        screen.close()
        ours = re.compile(r"\x1b\[A|\r")  # how tqdm moves its bars
        assert_harmless(ours.sub("", out.getvalue()))

    def test_errors(self, evil: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        from installer_stub.errors import HostError

        def fail(*_: object) -> int:
            raise HostError("10.0.0.2", f"ended with status 1:\n      {evil}", evil)

        monkeypatch.setattr(cli, "_dispatch", fail)
        assert cli.main(["install"]) == 4
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", None)
        assert crash.report_crash(ValueError(evil), "install") == 70
        assert_harmless(capsys.readouterr().err)

    def test_questions(self, evil: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
        monkeypatch.setattr(prompts, "is_interactive", lambda: True)
        ask = prompts.host_keys()
        assert ask is not None
        assert not ask([FirstContact(Host(evil, Role.NODE), HostKey(evil, "a2V5"))])
        assert not prompts.confirm(f"Remove {evil}?")
        assert_harmless(capsys.readouterr().err)

    def test_logs(self, evil: str, tmp_path: Path) -> None:
        evil = evil.encode(errors="replace").decode()  # hosts' output is decoded like that; pytest's own log takes no surrogates
        with log_file("shop", directory=tmp_path) as path:
            logging.getLogger("airseal.host").info("10.0.0.2: said %s", evil)
        assert_harmless(path.read_text())

    def test_results(self, evil: str, capsys: pytest.CaptureFixture[str]) -> None:
        say(evil)
        assert_harmless(capsys.readouterr().out)
