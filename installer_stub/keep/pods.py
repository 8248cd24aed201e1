"""Ending the host's containers when it is switched off.

containerd leaves them running when it stops, as it must: it is restarted under them. So systemd's last act would be to wait
for them, 90 seconds on every host: it sends TERM to everything, and a container's first process that has no handler for it is
protected from it by its PID namespace (pid_namespaces(7)). Here those are known by their signal mask, and not waited for.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from installer_stub.keep.programs import run

GRACE: Final = 30.0  # seconds, as Kubernetes gives a pod where nothing else is said
_KILLED: Final = 5.0  # seconds until the kernel has taken everything away
_ASK_SECONDS: Final = 10.0
_LIMIT: Final = 1 << 16
_TERM: Final = 1 << (signal.SIGTERM - 1)


def is_going_down() -> bool:
    """Tell whether systemd is about to switch the host off or start it again."""
    return run(("systemctl", "is-system-running"), timeout=_ASK_SECONDS).output.strip() == "stopping"


def processes(proc: str = "/proc") -> dict[int, bool]:
    """Return the processes of all pods: by id, whether it acts upon TERM itself, and so will end in its own time."""
    found = {}
    for directory in Path(proc).iterdir():
        if directory.name.isdigit() and b"kubepods" in _read(directory / "cgroup"):
            found[int(directory.name)] = _caught(_read(directory / "status")) & _TERM != 0
    return found


def end(
    *, grace: float = GRACE, proc: str = "/proc", clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> int:
    """End every container: TERM, at most ``grace`` seconds for those that act upon it, then KILL. Return how many were killed."""
    _send(signal.SIGTERM, processes(proc))
    deadline = clock() + grace
    while clock() < deadline and any(processes(proc).values()):
        sleep(0.1)
    left = processes(proc)
    _send(signal.SIGKILL, left)
    deadline = clock() + _KILLED
    while clock() < deadline and processes(proc):
        sleep(0.1)
    return len(left)


def _send(what: signal.Signals, pids: dict[int, bool]) -> None:
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
