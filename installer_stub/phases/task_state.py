"""TaskState: what a host says of a task, parsed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

_RUNNING = frozenset({"active", "activating", "deactivating", "reloading"})


@dataclass(frozen=True, slots=True)
class TaskResult:
    """How a task ended, written by itself. Times are the host's clock, seconds since the epoch."""

    digest: str
    status: int
    began: int
    ended: int


@dataclass(frozen=True, slots=True)
class TaskState:
    """One moment of a task on a host."""

    running: bool
    digest: str  # of the task whose unit is there; empty if none is
    words: str  # systemd's: "active, running"
    result: TaskResult | None
    begun: tuple[str, int] | None  # digest, and when, of the last one that was begun and not forgotten
    size: int  # bytes of its log

    @classmethod
    def parse(cls, said: str) -> tuple[Self, str]:
        """Return the state, and the output that follows it. Raises ValueError for what is no answer."""
        unit, result, begun, size, output = said.split("\n", 4)
        fields = dict(part.partition("=")[::2] for part in unit.split(";"))
        active, sub = fields.get("ActiveState", ""), fields.get("SubState", "")
        if not active or not sub:
            raise ValueError(said)
        about = fields.get("Description", "").split()
        there = fields.get("LoadState") == "loaded" and about[:1] == ["airseal"] and len(about) == 2
        noted = begun.split()
        state = cls(
            running=active in _RUNNING,
            digest=about[1] if there else "",
            words=f"{active}, {sub}",
            result=_result(result),
            begun=(noted[0], int(noted[1])) if len(noted) == 2 and noted[1].isdigit() else None,
            size=int(size),
        )
        return state, output

    def succeeded(self, digest: str) -> bool:
        """Tell whether the task of this digest has ended well and was not forgotten."""
        return self.result is not None and self.result.digest == digest and self.result.status == 0

    def concerns(self, digest: str) -> bool:
        """Tell whether the task of this digest runs here, or has ended well and was not forgotten."""
        return (self.running and self.digest == digest) or (not self.running and self.succeeded(digest))

    def interrupted(self, digest: str) -> int | None:
        """Return when the task of this digest was begun, if it neither runs nor has said how it ended."""
        if self.running or self.begun is None or self.begun[0] != digest:
            return None
        ended = self.result is not None and self.result.digest == digest
        return None if ended else self.begun[1]


def _result(line: str) -> TaskResult | None:
    words = line.split()
    if len(words) != 4 or not all(word.isdigit() for word in words[1:]):
        return None
    return TaskResult(words[0], int(words[1]), int(words[2]), int(words[3]))
