"""Moments: when in an installation something happens to it, taken from what the installer itself announces."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass

_PHASE = re.compile(r"\[(\d+)/(\d+)\] (.*)")
_SKIPPED = ": nothing to do"


@dataclass(frozen=True)
class Moment:
    """So many seconds after the installer announces this, for the first, second … time."""

    title: str
    offset: float
    nth: int = 1

    def seen(self, lines: Iterable[str]) -> bool | None:
        """Tell whether these lines announce it: True, False if there was nothing to do in it, None if it is still to come.

        The number may be another one in another version.
        """
        found = [match for match in map(_PHASE.match, map(str.strip, lines)) if match and match[3].startswith(self.title)]
        return not found[self.nth - 1][3].endswith(_SKIPPED) if len(found) >= self.nth else None

    def __str__(self) -> str:
        again = f" the {self.nth}. time" if self.nth > 1 else ""
        return f"{self.offset:.1f} s into “{self.title}”{again}"


@dataclass(frozen=True)
class Timeline:
    """Which phase began when, in seconds, and when the last one ended."""

    phases: tuple[tuple[str, float], ...]
    end: float

    @classmethod
    def of(cls, lines: Iterable[tuple[float, str]]) -> Timeline:
        """Read it from an installer's lines with their times. What was skipped took no time."""
        phases, end = [], 0.0
        for at, line in lines:
            end = at
            found = _PHASE.match(line.strip())
            if found and not found[3].endswith(_SKIPPED):
                phases.append((found[3].partition(" (")[0], at))
        return cls(tuple(phases), end)

    @property
    def durations(self) -> tuple[tuple[str, float], ...]:
        """How long each phase took."""
        ends = [*(began for _, began in self.phases[1:]), self.end]
        return tuple((title, max(0.0, end - began)) for (title, began), end in zip(self.phases, ends, strict=False))

    def moments(self, count: int, seed: int) -> list[Moment]:
        """Return ``count`` moments in order: one in every phase first, then where the time goes; random inside a phase.

        With fewer moments than phases the longest ones have them. The same seed gives the same moments.
        """
        chance = random.Random(seed)  # noqa: S311 - the same ones again is what is wanted
        durations = list(self.durations)
        if not durations:
            return []
        by_length = sorted(range(len(durations)), key=lambda index: -durations[index][1])
        chosen = by_length[:count]
        weights = [max(length, 0.01) for _, length in durations]
        chosen += chance.choices(range(len(durations)), weights, k=count - len(chosen))
        titles = [title for title, _ in durations]
        return [
            Moment(titles[index], round(chance.uniform(0.0, durations[index][1]), 2), titles[: index + 1].count(titles[index]))
            for index in sorted(chosen)
        ]
