"""What is shown on a terminal, in a pipe, and to a machine."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading

import pytest

from installer_stub.ui.console import BarConsole, Console, JsonConsole, LineConsole, console, phase_line
from installer_stub.ui.output import Folding
from installer_stub.ui.transfer import Transfer, duration, size


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_console_that_fits() -> None:
    assert isinstance(console(stream=io.StringIO()), LineConsole)
    assert isinstance(console(stream=Terminal()), BarConsole)
    assert isinstance(console(json_events=True, stream=Terminal()), JsonConsole)


@pytest.mark.parametrize(
    ("hosts", "text"),
    [
        ([], "[3/14] Copy"),
        (["10.0.0.2", "10.0.0.3"], "[3/14] Copy (10.0.0.2, 10.0.0.3)"),
        ([f"h{n}" for n in range(9)], "[3/14] Copy (h0, h1, h2, h3 and 5 more)"),
    ],
)
def test_phases_are_announced(hosts: list[str], text: str) -> None:
    assert phase_line(3, 14, "Copy", hosts) == text


def test_lines_in_a_pipe() -> None:
    stream = io.StringIO()
    shown = LineConsole(stream)
    shown.step("begin")
    for _ in range(100):
        shown.moved("bundle to 10.0.0.2", 2**20, 100 * 2**20)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "begin"
    assert len(lines) == 2  # too fast for anything but its end
    assert lines[1].startswith("  bundle to 10.0.0.2: 100.0 MiB in ")


def test_a_line_now_and_then_while_it_moves() -> None:
    transfer = Transfer("bundle", 4000, begun=100.0)
    due = []
    for second in range(1, 40):
        transfer.add(100, 100.0 + second)
        if transfer.is_due(10):
            due.append(transfer.text())
    assert due == [
        "bundle: 25 % of 3.9 KiB, 100 B/s, 30 s left",
        "bundle: 50 % of 3.9 KiB, 100 B/s, 20 s left",
        "bundle: 75 % of 3.9 KiB, 100 B/s, 10 s left",
    ]
    transfer.add(100, 140.0)
    assert transfer.is_due(10)
    assert transfer.text() == "bundle: 3.9 KiB in 40 s, 100 B/s"


def test_json_events_one_a_line() -> None:
    stream = io.StringIO()
    shown: Console = JsonConsole(stream)
    shown.step("begin ä\nnext line")
    shown.moved("bundle", 5, 10)
    shown.moved("bundle", 5, 10)
    shown.event("finding", "swap is on", host="10.0.0.2", severity="warning")
    shown.close()
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event.pop("time")[10] for event in events] == ["T"] * 3
    assert events == [
        {"event": "step", "text": "begin ä\nnext line"},
        {"event": "moved", "what": "bundle", "done": 10, "total": 10},
        {"event": "finding", "text": "swap is on", "host": "10.0.0.2", "severity": "warning"},
    ]


@pytest.mark.parametrize("transfers", [1, 12])
def test_bars_on_a_terminal(transfers: int) -> None:
    stream = Terminal()
    shown = BarConsole(stream)
    names = [f"bundle to host{n}" for n in range(transfers)]
    for name in names:
        shown.moved(name, 2**20, 2**21)
    shown.step("meanwhile")
    for name in names:
        shown.moved(name, 2**20, 2**21)
    shown.step("done")
    shown.close()
    text = stream.getvalue()
    assert "50%" in text
    assert "meanwhile\n" in text
    assert [name for name in names if f"{name}: 2.0 MiB in" not in text] == []
    assert text.endswith("done\n")


def test_many_threads_report_at_once() -> None:
    stream = Terminal()
    shown = BarConsole(stream)

    def move(name: str) -> None:
        for _ in range(50):
            shown.moved(name, 10, 500)

    threads = [threading.Thread(target=move, args=(f"t{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown.close()
    assert stream.getvalue().count("500 B in") == 6


def test_nothing_moved_is_no_division_by_zero() -> None:
    stream = io.StringIO()
    LineConsole(stream).moved("empty", 0, 0)
    assert "empty: 0 B" in stream.getvalue()


def test_tqdm_is_imported_by_the_first_bar_only() -> None:
    probe = "import sys; from installer_stub.ui.console import console; console().step('x'); print('tqdm' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**30, "5.0 GiB"), (3 * 2**50, "3072.0 TiB")]
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (185, "3 min 5 s"), (3720, "1 h 2 min")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_output_of_programs_is_folded_on_a_terminal_prefixed_in_a_pipe_and_an_event_for_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    terminal, pipe, machine = Terminal(), io.StringIO(), io.StringIO()
    for screen in (console(stream=terminal), console(stream=pipe), console(stream=machine, json_events=True)):
        assert isinstance(screen, Folding)
        screen.output("command 1", "one")
        screen.output("command 1", "x\x1b[2J" + "y" * 100)
        screen.step("next")
        screen.close()
    assert pipe.getvalue() == "  command 1 | one\n  command 1 | x\\x1b[2J" + "y" * 100 + "\nnext\n"
    folded = "\r\x1b[K"
    long = ("  command 1 | x\\x1b[2J" + "y" * 100)[:39]
    assert terminal.getvalue() == f"  command 1 | one{folded}{long}{folded}next\n"
    events = [json.loads(line) for line in machine.getvalue().splitlines()]
    assert [(event["event"], event.get("source")) for event in events] == [("output", "command 1"), ("output", "command 1"), ("step", None)]
