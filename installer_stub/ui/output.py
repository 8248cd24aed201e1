"""What a program says while it runs, line by line: folded on a terminal, with its name before it elsewhere."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


class _Saying(Protocol):
    def step(self, text: str) -> None:
        """Say that something begins or happened."""


@runtime_checkable
class Folding(Protocol):
    """A Reporter that knows how to show a program's output."""

    def output(self, source: str, line: str) -> None:
        """Show a line that ``source`` said."""


def pass_on(reporter: _Saying, source: str, line: str) -> None:
    """Show one line of what ``source`` says."""
    if isinstance(reporter, Folding):
        reporter.output(source, line)
    else:
        reporter.step(f"{source}: {line}")
