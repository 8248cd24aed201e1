"""Report: what an undo did on one host, what is left and why. Crosses the wire as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Left:
    """Something that is not as it was, though it should be. ``name`` is what ``--abandon`` takes."""

    name: str
    why: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.why}" + (f"\n    what to do: {self.remedy}" if self.remedy else "")


@dataclass(slots=True)
class Report:
    """``complete``: everything is undone or abandoned, and nothing of ours is on the host any more."""

    undone: list[str] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    difference: list[str] = field(default_factory=list)  # measured, one thing a line
    measured: bool = False  # whether there was a measurement from before the installation to compare with
    complete: bool = False

    def to_json(self) -> str:
        """Return it as one line."""
        value = {
            "undone": self.undone,
            "abandoned": self.abandoned,
            "left": [{"name": left.name, "why": left.why, "remedy": left.remedy} for left in self.left],
            "notes": self.notes,
            "difference": self.difference,
            "measured": self.measured,
            "complete": self.complete,
        }
        return json.dumps(value, sort_keys=True)

    @classmethod
    def of_json(cls, text: str) -> Report:
        """Read it. Raises ValueError."""
        try:
            value: dict[str, Any] = json.loads(text)
            left = [Left(str(each["name"]), str(each["why"]), str(each["remedy"])) for each in value["left"]]
            texts = {name: [str(line) for line in value[name]] for name in ("undone", "abandoned", "notes", "difference")}
            return cls(**texts, left=left, measured=value["measured"] is True, complete=value["complete"] is True)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no report: {text[:200]!r}") from error

    def text(self) -> str:
        """Return it for people."""
        lines = [f"{len(self.undone)} changes undone" + (f", {len(self.abandoned)} abandoned by name" if self.abandoned else "")]
        if self.left:
            lines += [f"{len(self.left)} left, and with them everything that is needed to undo them later:", *(f"  - {left}" for left in self.left)]
        lines += [f"  note: {note}" for note in self.notes]
        if not self.measured:
            lines.append("how the host was before is not known: it was not measured then")
        elif self.difference:
            lines += [f"measured against the host before the installation, {len(self.difference)} things differ:", *(f"  - {line}" for line in self.difference)]
        else:
            lines.append("measured against the host before the installation: no difference")
        return "\n".join(lines)
