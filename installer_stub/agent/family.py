"""A process and all that came of it: found through /proc, and ended as a whole."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Final

SCOPE: Final = "airseal-agent-"
KILL_AFTER: Final = 5.0  # seconds between TERM and KILL
_HIERARCHIES: Final = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup", "/sys/fs/cgroup/unified")


def family(leader: int, *, proc: Path = Path("/proc")) -> set[int]:
    """Return ``leader``'s descendants and all of its session, itself included, as far as they live.

    A program that leaves its session *and* loses its parent is not found: for those there is the scope.
    """
    parents: dict[int, int] = {}
    found: set[int] = set()
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # proc(5): the name in parentheses may hold anything; behind it: state, ppid, pgrp, session.
            state, parent, _, session = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue  # it ended meanwhile
        if state == "Z":
            continue
        parents[int(entry.name)] = int(parent)
        if int(session) == leader or int(entry.name) == leader:
            found.add(int(entry.name))
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return found


def end_family(leader: int, *, grace: float = KILL_AFTER) -> None:
    """TERM, and KILL for whoever lives on after ``grace`` seconds."""
    members = family(leader)
    _signal(members, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while (left := family(leader) | _alive(members)) and time.monotonic() < deadline:
        time.sleep(0.02)
    while left:
        _signal(left, signal.SIGKILL)
        time.sleep(0.02)
        left = family(leader)
        if time.monotonic() > deadline + KILL_AFTER:
            return  # in a dead disk: not even KILL reaches them


def kill_scope(*, dry: bool = False) -> bool:
    """Kill everything in the scope that this agent was started in, but itself. Tell whether it is in one.

    Whoever is in it was started by this run, whatever it did to look like somebody else.
    """
    procs = _own_scope()
    if procs is None:
        return False
    spared = {os.getpid(), os.getppid()}  # the frozen program's loader waits for us, to clean up
    for _ in range(50):
        try:
            left = {int(word) for word in procs.read_text().split()} - spared
        except (OSError, ValueError):
            return True
        if dry or not left:
            return True
        _signal(left, signal.SIGKILL)
        time.sleep(0.02)
    return True


def _own_scope() -> Path | None:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        path = line.split(":", 2)[-1]
        if not path.rpartition("/")[2].startswith(SCOPE):
            continue
        for root in _HIERARCHIES:
            procs = Path(f"{root}{path}/cgroup.procs")
            if procs.exists():
                return procs
    return None


def _alive(pids: set[int]) -> set[int]:
    alive = set()
    for pid in pids:
        try:
            if Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z":
                alive.add(pid)
        except (OSError, IndexError):
            continue
    return alive


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue
