"""Steps as a person follows them: ``[4/7] Record what the cluster uses``, and how long each took."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from installer_stub.phases.reporter import Reporter
from installer_stub.ui.console import phase_line
from installer_stub.ui.transfer import duration


@runtime_checkable
class _Events(Protocol):
    def event(self, kind: str, text: str, **fields: object) -> None:
        """Say something of a kind that machines tell apart."""


class Numbered:
    """Announces steps by number, in the order of ``titles``, each of which is done once."""

    def __init__(self, reporter: Reporter, titles: Sequence[str]) -> None:
        self._reporter = reporter
        self._titles = tuple(titles)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Say that the step ``title`` begins, and at the end of the block how long it took, done or not."""
        number, began = self._titles.index(title) + 1, time.monotonic()
        line = phase_line(number, len(self._titles), title)
        self._say("begins", line, number)
        done = False
        try:
            yield
            done = True
        finally:
            seconds = time.monotonic() - began
            ended = f"{line}: {duration(seconds)}" if done else f"{line}: not done after {duration(seconds)}"
            self._say("ends", ended, number, seconds=round(seconds, 1), done=done)

    def _say(self, state: str, text: str, number: int, **fields: object) -> None:
        if isinstance(self._reporter, _Events):
            self._reporter.event("step", text, number=number, of=len(self._titles), state=state, **fields)
        else:
            self._reporter.step(text)
