"""Measure: what was measured, what it is held against, and whether that is as good as we want it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Self

MB = 1e6


@dataclass(frozen=True)
class Measure:
    """Our values and the peer's, in ``unit``, from one run; ``value``, ``against`` and ``ratio`` are of medians.

    ``what`` and ``peer`` say in words what each side did. ``notes`` are what one needs to know to believe the figures.
    """

    name: str
    what: str
    peer: str
    unit: str
    values: tuple[float, ...]
    peer_values: tuple[float, ...]
    max_ratio: float | None = None
    max_value: float | None = None
    notes: tuple[str, ...] = ()
    load: float = 0.0
    """The load average before it was measured."""
    machine: str = ""
    """What it was measured on."""
    measured: str = field(default_factory=lambda: dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"))

    @property
    def value(self) -> float:
        return median(self.values)

    @property
    def against(self) -> float:
        return median(self.peer_values)

    @property
    def ratio(self) -> float:
        return self.value / self.against

    @property
    def goal(self) -> str:
        """What we want, in words; empty where the measure only informs."""
        wanted = [f"ratio <= {self.max_ratio:g}"] if self.max_ratio is not None else []
        wanted += [f"value <= {self.max_value:g} {self.unit}"] if self.max_value is not None else []
        return ", ".join(wanted)

    @property
    def is_met(self) -> bool:
        ratio = self.max_ratio is None or self.ratio <= self.max_ratio
        return ratio and (self.max_value is None or self.value <= self.max_value)

    def to_json(self) -> dict[str, Any]:
        """Return the figures, and after them everything that ``from_json`` needs."""
        figures = {
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "against": round(self.against, 4),
            "ratio": round(self.ratio, 4),
            "goal": self.goal,
            "met": self.is_met,
        }
        return figures | asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        names = cls.__dataclass_fields__
        known: dict[str, Any] = {
            name: tuple(it) if isinstance(it, list) else it for name, it in value.items() if name in names
        }
        return cls(**known)
