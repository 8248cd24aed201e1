"""Ending the host's containers when it is switched off.

containerd leaves them running when it stops, as it must: it is restarted under them. So systemd's last act would be to wait
for them, 90 seconds on every host: it sends TERM to everything, and a container's first process that has no handler for it is
protected from it by its PID namespace (pid_namespaces(7)). Here those are known by their signal mask, and not waited for.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from installer_stub.keep.programs import run

GRACE: Final = 30.0  # seconds, as Kubernetes gives a pod where nothing else is said
_KILLED: Final = 5.0  # seconds until the kernel has taken everything away
_ASK_SECONDS: Final = 10.0
_LIMIT: Final = 1 << 16
_LAST: Final = "etcd"
_TERM: Final = 1 << (signal.SIGTERM - 1)


def is_going_down() -> bool:
    """Tell whether systemd is about to switch the host off or start it again."""
    return run(("systemctl", "is-system-running"), timeout=_ASK_SECONDS).output.strip() == "stopping"


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a pod. ``listens``: it acts upon TERM itself, and so will end in its own time."""

    name: str
    listens: bool


def processes(proc: str = "/proc") -> dict[int, Process]:
    """Return the processes of all pods, by their id."""
    found = {}
    for directory in Path(proc).iterdir():
        if directory.name.isdigit() and b"kubepods" in _read(directory / "cgroup"):
            name = _read(directory / "cmdline").split(b"\0")[0].rpartition(b"/")[2].decode(errors="replace")
            found[int(directory.name)] = Process(name, _caught(_read(directory / "status")) & _TERM != 0)
    return found


def end(
    *, grace: float = GRACE, proc: str = "/proc", clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> tuple[str, ...]:
    """End every container. Return the names of the processes that did not end by themselves.

    TERM, at most ``grace`` seconds for those that act upon it, then KILL. etcd is last: an API server that finds none tries
    for a minute to take its lease back.
    """

    def stop(chosen: Callable[[Process], bool]) -> list[str]:
        def left() -> dict[int, Process]:
            return {pid: each for pid, each in processes(proc).items() if chosen(each)}

        _send(signal.SIGTERM, left())
        deadline = clock() + grace
        while clock() < deadline and any(each.listens for each in left().values()):
            sleep(0.1)
        late = left()
        _send(signal.SIGKILL, late)
        deadline = clock() + _KILLED
        while clock() < deadline and left():
            sleep(0.1)
        return [each.name for each in late.values()]

    return tuple(sorted({*stop(lambda each: each.name != _LAST), *stop(lambda _: True)}))


def _send(what: signal.Signals, pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, what)


def _caught(status: bytes) -> int:
    """Return the mask of signals with a handler; nothing for a process that has ended meanwhile."""
    for line in status.splitlines():
        if line.startswith(b"SigCgt:"):
            with suppress(ValueError):
                return int(line.split()[1], 16)
    return 0


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_LIMIT)
    except OSError:  # it has ended meanwhile
        return b""
