"""What the operator sees while it works: bars on a terminal, lines in a pipe, JSON events for a machine.

Everything goes to stderr, so that stdout is for results; JSON events are the result and go to stdout. Every line is also
logged. The three are Reporters, and may be called from several threads.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from shutil import get_terminal_size
from typing import IO, TYPE_CHECKING, Any, Protocol

from installer_stub.ui.printable import json_text, printable, say
from installer_stub.ui.transfer import Transfer

if TYPE_CHECKING:
    from tqdm import tqdm

MOST_BARS = 8  # more do not fit a terminal; further transfers show as a line when they end
PLAIN_SECONDS = 10.0
JSON_SECONDS = 1.0
_log = logging.getLogger("airseal.ui")


class Console(Protocol):
    """A Reporter that can be closed and that takes events of other kinds."""

    def step(self, text: str) -> None:
        """Say that something begins or happened."""

    def moved(self, what: str, count: int, total: int) -> None:
        """Say that ``count`` more bytes of ``total`` of ``what`` have moved."""

    def event(self, kind: str, text: str, **fields: object) -> None:
        """Say something of a kind that machines tell apart: "finding", "error", "done"."""

    def close(self) -> None:
        """End all bars."""


def console(*, json_events: bool = False, stream: IO[str] | None = None) -> Console:
    """Return the console that fits: JSON if asked for, bars on a terminal, lines elsewhere."""
    if json_events:
        return JsonConsole(stream or sys.stdout)
    stream = stream or sys.stderr
    return BarConsole(stream) if stream.isatty() else LineConsole(stream)


def phase_line(number: int, count: int, title: str, hosts: Sequence[str] = ()) -> str:
    """Return how a phase is announced: ``[3/14] Copy the bundle to the masters (10.0.0.2, 10.0.0.3)``."""
    shown = ", ".join(hosts[:4]) + (f" and {len(hosts) - 4} more" if len(hosts) > 4 else "")
    return f"[{number}/{count}] {title}" + (f" ({shown})" if shown else "")


class _Console(ABC):
    """Keeps the transfers; a subclass shows them."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._transfers: dict[str, Transfer] = {}

    def step(self, text: str) -> None:
        self.event("step", text)

    def event(self, kind: str, text: str, **fields: object) -> None:
        _log.info("%s: %s", kind, text)
        with self._lock:
            self._say(kind, text, fields)

    def output(self, source: str, line: str) -> None:
        """Show a line that a program said; the log has it whole."""
        _log.info("%s | %s", source, line)
        with self._lock:
            self._heard(source, line)

    def moved(self, what: str, count: int, total: int) -> None:
        with self._lock:
            transfer = self._transfers.get(what)
            if transfer is None:
                transfer = self._transfers[what] = Transfer(what, total, time.monotonic())
            transfer.add(count, time.monotonic())
            self._show(transfer, count)
            if transfer.ended:
                del self._transfers[what]
                _log.info("moved: %s", transfer.text())

    def close(self) -> None:
        with self._lock:
            self._transfers.clear()

    @abstractmethod
    def _say(self, kind: str, text: str, fields: dict[str, object]) -> None: ...

    @abstractmethod
    def _show(self, transfer: Transfer, count: int) -> None: ...

    def _heard(self, source: str, line: str) -> None:
        self._print(f"  {source} | {line}")

    def _print(self, text: str) -> None:
        say(text, stream=self._stream)


class LineConsole(_Console):
    """Lines: a transfer tells where it stands every ten seconds and at its end."""

    def _say(self, kind: str, text: str, fields: dict[str, object]) -> None:  # noqa: ARG002
        self._print(text)

    def _show(self, transfer: Transfer, count: int) -> None:  # noqa: ARG002
        if transfer.is_due(PLAIN_SECONDS):
            self._print(f"  {transfer.text()}")


class JsonConsole(_Console):
    """One JSON object a line: ``time``, ``event``, and what belongs to it."""

    def _say(self, kind: str, text: str, fields: dict[str, object]) -> None:
        self._print(_json(kind, {"text": text, **fields}))

    def _heard(self, source: str, line: str) -> None:
        self._print(_json("output", {"source": source, "text": line}))

    def _show(self, transfer: Transfer, count: int) -> None:  # noqa: ARG002
        if transfer.is_due(JSON_SECONDS):
            self._print(_json("moved", {"what": transfer.what, "done": transfer.done, "total": transfer.total}))


class BarConsole(_Console):
    """A bar for each transfer, by tqdm, which is imported when the first byte moves."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        self._bars: dict[str, tqdm[Any]] = {}
        self._folded = False  # the last line is one of a program's output, and the next line takes its place

    def close(self) -> None:
        """End all bars."""
        with self._lock:
            self._unfold()
            for bar in self._bars.values():
                bar.close()
            self._bars.clear()
            super().close()

    def _say(self, kind: str, text: str, fields: dict[str, object]) -> None:  # noqa: ARG002
        self._unfold()
        if not self._bars:
            self._print(text)
            return
        next(iter(self._bars.values())).write(printable(text), file=self._stream)

    def _heard(self, source: str, line: str) -> None:
        if self._bars:  # they have the last line; what was said stands in the log
            return
        self._unfold()
        shown = printable(f"  {source} | {line}", lines=False)
        say(shown[: max(20, get_terminal_size().columns - 1)], stream=self._stream, end="")
        self._folded = True

    def _unfold(self) -> None:
        if self._folded:
            self._stream.write("\r\x1b[K")
            self._folded = False

    def _show(self, transfer: Transfer, count: int) -> None:
        self._unfold()
        bar = self._bars.get(transfer.what) or self._new_bar(transfer)
        if bar is not None:
            bar.update(count)
        if transfer.ended:
            self._bars.pop(transfer.what, None)
            if bar is not None:
                bar.close()
            self._say("moved", f"  {transfer.text()}", {})

    def _new_bar(self, transfer: Transfer) -> tqdm[Any] | None:
        if len(self._bars) >= MOST_BARS:
            return None
        from tqdm import tqdm

        bar = tqdm(
            desc=f"  {printable(transfer.what, lines=False)}",
            total=transfer.total,
            initial=transfer.done - transfer.last,
            file=self._stream,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            leave=False,
            dynamic_ncols=True,
        )
        self._bars[transfer.what] = bar
        return bar


def _json(event: str, fields: dict[str, object]) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json_text({"time": now, "event": event, **fields})
