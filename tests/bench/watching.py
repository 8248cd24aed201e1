"""What an installation costs beside time: round trips, bytes from the operator's machine, memory at both ends, changes on hosts."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.process_tree import ProcessTree, descendants
from tests.testbed.cache import TestBedError
from tests.testbed.hosts import TestBed

_TIMEOUT = 1800
_MARK = "/run/bench-mark"
# What the installer writes; the caches of kubectl and what Kubernetes itself writes are nobody's change.
_PLACES = "/etc /opt /usr/local /var/lib/airseal /root"
_CHANGED = f"find {_PLACES} -xdev -newer {_MARK} ! -type d ! -path '/var/lib/airseal/home/*' ! -path '/etc/resolv.conf' 2>/dev/null || true"
_ASKED = re.compile(r"airseal\.agent .*: asked (\d+) times; ")
_COMMAND = re.compile(r" airseal\.host \[")


@dataclass(frozen=True)
class Watched:
    """One run. ``asked``: questions to all hosts together, each a round trip; sizes in bytes; ``changed``: paths on hosts."""

    seconds: float
    asked: int
    sent: int
    operator: int
    agent: int
    changed: tuple[str, ...]


def watch(command: Sequence[str], bed: TestBed, log: Path, work: Path, env: Mapping[str, str]) -> Watched:
    """Run the installer to its end. Raises TestBedError where it fails."""
    for host in bed.hosts:
        host.run(f"touch {_MARK}; sleep 0.02")
    before, sent = set(work.glob("airseal-*.log")), _sent(bed)
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=dict(env), cwd=work)
        try:
            with ProcessTree(process.pid) as tree, _Agents(bed) as agents:
                process.wait(timeout=_TIMEOUT)
                seconds = time.monotonic() - began
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=120)
    if process.returncode:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise TestBedError(f"the installation ended with {process.returncode}, log {log}\n{end}")
    asked = sum(asked_in(path.read_text(errors="replace")) for path in set(work.glob("airseal-*.log")) - before)
    changed = tuple(f"{host.name}:{path}" for host in bed.hosts for path in host.run(_CHANGED).stdout.split())
    return Watched(seconds, asked, _sent(bed) - sent, tree.peak, agents.peak, changed)


def asked_in(log: str) -> int:
    """Return how many questions a run's log tells of: commands before the agents, and what each agent was asked."""
    return len(_COMMAND.findall(log)) + sum(map(int, _ASKED.findall(log)))


def _sent(bed: TestBed) -> int:
    """Return what this machine itself has sent into the bed: what hosts send each other passes the bridge without it."""
    return int(Path(f"/sys/class/net/{bed.bridge}/statistics/tx_bytes").read_text())


class _Agents:
    """Samples the memory of the agents on a bed's hosts, whose processes are this machine's too. ``peak`` is the largest's VmHWM."""

    def __init__(self, bed: TestBed) -> None:
        self._first = [int(host.root.parts[2]) for host in bed.hosts]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory of agents", daemon=True)
        self.peak = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(1.0):
            for first in self._first:
                for pid in descendants(first):
                    self.peak = max(self.peak, _agent(pid))


def _agent(pid: int) -> int:
    try:
        if b"\0host\0agent\0" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return 0
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
