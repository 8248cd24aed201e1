"""Starting the control plane's containers anew, so that they read their new certificates: kubelet does, once they end.

The processes are found in /proc, by what only they have: name, kubeadm's paths on the command line, a cgroup of a pod.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from installer_stub.distro.paths import CONFIGURATION

_GRACE: Final = 60.0  # seconds to end; what an API server needs for its open requests
_LIMIT: Final = 1 << 16
_OURS: Final = f"{CONFIGURATION}/".encode()


def processes(names: tuple[str, ...], proc: str = "/proc") -> dict[int, str]:
    """Return the processes of static pods that have one of ``names``, by their id."""
    found = {}
    for directory in Path(proc).iterdir():
        if not directory.name.isdigit():
            continue
        argv = _read(directory / "cmdline").split(b"\0")
        name = argv[0].rpartition(b"/")[2].decode(errors="replace")
        if name in names and any(_OURS in each for each in argv[1:]) and b"kubepods" in _read(directory / "cgroup"):
            found[int(directory.name)] = name
    return found


def end(
    names: tuple[str, ...], *, grace: float = _GRACE, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> tuple[str, ...]:
    """End the processes of ``names``, by force after ``grace`` seconds. Return the names of those that ran."""
    before = processes(names)
    for pid in before:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = clock() + grace
    while clock() < deadline and set(before) & set(processes(names)):
        sleep(0.2)
    for pid in set(before) & set(processes(names)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return tuple(sorted(set(before.values())))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_LIMIT)
    except OSError:  # it has ended meanwhile
        return b""
