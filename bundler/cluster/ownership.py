"""Who a container or network of ours belongs to, so that what a killed build left behind can be told from what is in use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundler.cluster.lease import SECONDS

LABEL: Final = "airseal.build"
KEPT: Final = "kept"  # the label of what --keep-cluster leaves: no build of ours removes it
# A process of another machine or pid namespace (a CI job in a container) cannot be seen from here; no build takes a day.
FOREIGN_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: number and start time name it uniquely within one boot and pid namespace."""

    boot: str
    namespace: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> Owner:
        """Return this process."""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
        pid = os.getpid()
        return cls(boot, namespace, pid, started(pid) or "")

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """Return the owner that a label names, None for a label of another form."""
        parts = text.split(" ")
        if len(parts) != 4 or not parts[2].isdigit():
            return None
        return cls(parts[0], parts[1], int(parts[2]), parts[3])

    def __str__(self) -> str:
        return f"{self.boot} {self.namespace} {self.pid} {self.started}"


@dataclass(frozen=True, slots=True)
class Belonging:
    """A container or network with our label. ``age`` in seconds since it was made; ``ended``: it ran, and runs no more."""

    kind: str
    id: str
    label: str
    age: float
    ended: bool = False


def started(pid: int) -> str | None:
    """Return when a process started, in clock ticks since boot; None if there is none. proc(5), field 22 of stat."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()[19]


def orphans(belongings: Iterable[Belonging], me: Owner, start_of: Callable[[int], str | None] = started) -> tuple[Belonging, ...]:
    """Return what belongs to nobody any more, containers before the networks they are in. Pure but for ``start_of``.

    That a process is gone can be told of this boot of this machine, in this pid namespace. Of others it is their lease that
    says so: a container that nobody renewed has ended, and its network is empty, which the engine itself sees to.
    """

    def gone(item: Belonging) -> bool:
        owner = Owner.parse(item.label)
        if owner is None or owner == me:
            return False
        if (owner.boot, owner.namespace) == (me.boot, me.namespace):
            return start_of(owner.pid) != owner.started
        return item.age > (SECONDS if item.ended or item.kind == "network" else FOREIGN_SECONDS)

    return tuple(sorted((item for item in belongings if gone(item)), key=lambda item: (item.kind != "container", item.id)))
