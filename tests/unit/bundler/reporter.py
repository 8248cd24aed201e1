"""A Reporter that remembers."""

from __future__ import annotations


class Remembering:
    def __init__(self) -> None:
        self.steps: list[str] = []
        self.bytes: dict[str, int] = {}

    def step(self, text: str) -> None:
        self.steps.append(text)

    def moved(self, what: str, count: int, total: int) -> None:
        self.bytes[what] = self.bytes.get(what, 0) + count
