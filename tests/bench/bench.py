"""Bench: what every measure is given."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.cache import Cache

ROOT = Path(__file__).resolve().parents[2]
BED = "bench"


@dataclass(frozen=True)
class Bench:
    """The artifact, a directory for what is made on the way, and how often to repeat."""

    run: Path
    work: Path
    cache: Cache
    wanted: int = 1

    def repetitions(self, least: int) -> int:
        """Return how often to repeat what has to be repeated ``least`` times to mean anything."""
        return max(least, self.wanted)


def alternate(
    count: int, ours: Callable[[], float], peer: Callable[[], float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return ``count`` values of each, taken in turns, so that what else the machine does hits both."""
    values, peer_values = [], []
    for _ in range(count):
        values.append(ours())
        peer_values.append(peer())
    return tuple(values), tuple(peer_values)


def seconds(action: Callable[[], object]) -> float:
    """Return how long ``action`` takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
