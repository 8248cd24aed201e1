"""Reporter: to whom everything that takes time tells what it does. Apart from phases, since who only reports needs none of them."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Where a phase tells what it does. Implemented by the console, by JSON events, and by tests."""

    def step(self, text: str) -> None:
        """Say that something begins or happened."""

    def moved(self, what: str, count: int, total: int) -> None:
        """Say that ``count`` more bytes of ``total`` of ``what`` have moved."""
