"""What a host has: processors, memory, disks, a clock."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from installer_stub.distro import paths
from installer_stub.facts.base import Fact, Otherwise

# Where an installation puts things. Each may be a file system of its own, and may not exist yet.
PLACES = (
    "/",
    "/opt",
    "/usr/local",
    "/var/lib",
    "/var/lib/airseal",
    "/var/lib/containerd",
    paths.ETCD,
    paths.KUBELET,
)


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that holds ``place``. Sizes in bytes; ``free`` is what root may still fill."""

    place: str
    mount: str
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of /proc/mounts."""

    path: str
    kind: str
    options: frozenset[str]


def parse_memory(stdout: str) -> int:
    """Return MemTotal in bytes."""
    found = re.search(r"^MemTotal:\s+(\d+) kB$", stdout, re.MULTILINE)
    if found is None:
        raise ValueError(stdout)
    return int(found[1]) * 1024


def parse_disks(stdout: str) -> tuple[Disk, ...]:
    """Return the disk of each place: a line with the place and a tab, before a line of ``df -P -k``."""
    disks = []
    for line in stdout.splitlines():
        place, _, row = line.partition("\t")
        # The device may hold blanks, the mount point too; the numbers between them do not.
        found = re.search(r"\s(\d+)\s+\d+\s+(-?\d+)\s+\S+\s+(/.*)$", row)
        if found is None:
            raise ValueError(line)
        disks.append(Disk(place, found[3], int(found[1]) * 1024, max(int(found[2]), 0) * 1024))
    return tuple(disks)


def parse_mounts(stdout: str) -> tuple[Mount, ...]:
    """Return the lines of /proc/self/mounts, octal escapes undone."""
    rows = (line.split() for line in stdout.splitlines())
    return tuple(Mount(_unescaped(row[1]), row[2], frozenset(row[3].split(","))) for row in rows if len(row) >= 4)


def mount_of(path: str, mounts: tuple[Mount, ...]) -> Mount | None:
    """Return the mount that ``path`` is on: the deepest one, and of several on one point the last."""
    best: Mount | None = None
    for mount in mounts:
        inside = path == mount.path or path.startswith(mount.path.rstrip("/") + "/")
        if inside and (best is None or len(mount.path) >= len(best.path)):
            best = mount
    return best


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)




def disks_script(places: Iterable[str]) -> str:
    """Return the question whose answer ``parse_disks`` reads."""
    return f"for place in {' '.join(places)}; do {_DISK}"


_DISK = (
    'there=$place; while [ ! -d "$there" ]; do there=$(dirname "$there"); done; '
    'df -P -k "$there" | { read -r _; read -r row; printf "%s\\t%s\\n" "$place" "$row"; }; done'
)

PLENTY = 1 << 62
_ROOMY = tuple(Disk(place, "/", PLENTY, PLENTY) for place in PLACES)

CPUS = Fact("cpus", "nproc", int, Otherwise(PLENTY, "whether it has processors enough"))
MEMORY = Fact("memory", "cat /proc/meminfo", parse_memory, Otherwise(PLENTY, "whether it has memory enough"))
DISKS = Fact("disks", disks_script(PLACES), parse_disks, Otherwise(_ROOMY, "whether there is room", needed=True))
MOUNTS: Fact[tuple[Mount, ...]] = Fact("mounts", "cat /proc/self/mounts", parse_mounts, Otherwise((), "whether programs may run where they are put"))
CLOCK = Fact("clock", "date +%s", int, Otherwise(0, "whether its clock is right", needed=True))
SWAPS = Fact("swaps", "cat /proc/swaps", lambda stdout: len(stdout.splitlines()) > 1, Otherwise(value=False, meaning="whether it swaps"))
