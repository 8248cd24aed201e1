"""Bytes on their way, as a person follows them: how far, how fast, how long still."""

from __future__ import annotations

from dataclasses import dataclass, field

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(slots=True)
class Transfer:
    """``done`` of ``total`` bytes of ``what``. Times are of a monotonic clock."""

    what: str
    total: int
    begun: float
    done: int = 0
    last: int = 0  # bytes of the latest addition
    now: float = 0.0
    shown: float = field(default=float("-inf"))

    def add(self, count: int, now: float) -> None:
        """Count ``count`` more bytes."""
        self.done, self.last, self.now = self.done + count, count, now

    @property
    def ended(self) -> bool:
        """Whether all has moved."""
        return self.done >= self.total

    @property
    def rate(self) -> float:
        """Bytes a second since the beginning."""
        return self.done / max(self.now - self.begun, 0.001)

    def is_due(self, every: float) -> bool:
        """Tell whether to show it now: at its end, or ``every`` seconds after it began or was shown."""
        if self.shown == float("-inf"):
            self.shown = self.begun
        if self.ended or self.now - self.shown >= every:
            self.shown = self.now
            return True
        return False

    def text(self) -> str:
        """Return a line about it."""
        seconds = max(self.now - self.begun, 0.0)
        if self.ended:
            return f"{self.what}: {size(self.done)} in {duration(seconds)}, {size(self.rate)}/s"
        left = (self.total - self.done) / self.rate if self.rate else 0.0
        share = 100 * self.done // max(self.total, 1)
        return f"{self.what}: {share} % of {size(self.total)}, {size(self.rate)}/s, {duration(left)} left"


def size(count: float) -> str:
    """Return bytes in the unit that leaves up to four digits: ``1.5 GiB``."""
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


def duration(seconds: float) -> str:
    """Return a time as a person says it: ``42 s``, ``3 min 5 s``, ``1 h 2 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
