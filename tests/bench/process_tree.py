"""How much memory a process and all that it starts ever have resident."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_INTERVAL = 0.2
_KB = 1024


class ProcessTree:
    """Samples a process and its descendants from ``__enter__`` to ``__exit__``. Sizes in bytes.

    ``peak_sum``: the highest sum of VmRSS at one moment; pages that processes share count once for each.
    ``largest``: the process with the highest VmHWM, which the kernel keeps: no sample can miss it but that of a process
    that lived less than 0.2 s.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._highest: dict[tuple[int, str], int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"memory of {pid}", daemon=True)
        self.peak_sum = 0
        self.peak_count = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def largest(self) -> tuple[str, int]:
        """The name of the largest process, and the most it ever had resident."""
        (_, name), size = max(self._highest.items(), key=lambda item: item[1], default=((0, "none"), 0))
        return name, size

    @property
    def peak(self) -> int:
        """What the whole had resident at most."""
        return max(self.peak_sum, self.largest[1])

    def _watch(self) -> None:
        while True:
            self._sample()
            if self._stop.wait(_INTERVAL):
                return

    def _sample(self) -> None:
        found = [status for status in map(_status, descendants(self._pid)) if status]
        for pid, name, _, highest in found:
            key = (pid, name)
            self._highest[key] = max(self._highest.get(key, 0), highest)
        total = sum(resident for _, _, resident, _ in found)
        if total > self.peak_sum:
            self.peak_sum, self.peak_count = total, len(found)


def descendants(pid: int) -> list[int]:
    """Return ``pid`` and all processes below it that run now."""
    found = [pid]
    for parent in found:  # grows while it is walked
        for file in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, file.read_text().split())
            except OSError:  # it has ended
                continue
    return found


def _status(pid: int) -> tuple[int, str, int, int] | None:
    """Return pid, name, VmRSS and VmHWM; None for what has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    if "VmRSS" not in fields:
        return None
    return pid, " ".join(fields["Name"]), int(fields["VmRSS"][0]) * _KB, int(fields["VmHWM"][0]) * _KB


def cpu_seconds(pid: int) -> float:
    """Return the user and system time that ``pid``, all processes below it, and those they have waited for, have used."""
    ticks = 0
    for each in descendants(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))  # proc(5): utime, stime, cutime, cstime
    return ticks / os.sysconf("SC_CLK_TCK")
