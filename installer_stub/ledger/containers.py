"""Ending the containers of our cluster, and only those: by their cgroups, so that it also works when containerd is down.

kubelet puts every pod below ``kubepods``; a container's first process outlives its shim, so killing shims ends nothing.
Shims are told apart by their command line: docker's have another namespace or another socket.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from installer_stub.distro import containerd
from installer_stub.errors import NotPutBack

_DEADLINE: Final = 60.0  # seconds; a process in an NFS call that hangs does not die, and has to be named
_KUBEPODS = re.compile(r"kubepods(\.slice)?")
_NAMESPACE: Final = "k8s.io"  # of the CRI plugin: containerd, internal/cri/constants/constants.go
_HIERARCHIES: Final = ("", "unified", "systemd", "freezer", "pids", "memory", "cpu,cpuacct", "cpu", "cpuset")


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes and cgroups of this host; tests give other roots and another kill."""

    proc: Path = Path("/proc")
    cgroups: Path = Path("/sys/fs/cgroup")
    kill: Callable[[int, int], None] = os.kill

    def command(self, pid: int) -> list[str]:
        """Return the command line; empty for one that has ended."""
        try:
            return (self.proc / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return []

    def parents(self) -> dict[int, int]:
        """Return every process's parent: proc(5), /proc/[pid]/stat, the second field after the name's last parenthesis."""
        found: dict[int, int] = {}
        for entry in self.proc.iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    found[int(entry.name)] = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        return found

    def pods(self) -> tuple[Path, ...]:
        """Return kubelet's topmost cgroup in every hierarchy."""
        places = [self.cgroups / name for name in _HIERARCHIES]
        if self.cgroups.is_dir():
            places += [path for path in self.cgroups.iterdir() if path.is_dir()]
        found = {child.resolve() for place in places if place.is_dir() for child in place.iterdir() if _KUBEPODS.fullmatch(child.name)}
        return tuple(sorted(found))


def end_containers(processes: Processes, *, deadline: float = _DEADLINE) -> int:
    """Kill every process of our pods and their shims, and remove their cgroups. Return how many groups there were.

    Raises NotPutBack with the processes that do not die.
    """
    groups = processes.pods()
    until = time.monotonic() + deadline
    for group in groups:
        _freeze(group, frozen=True)
    while victims := sorted({*_members(groups), *_shims(processes)}):
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                processes.kill(pid, signal.SIGKILL)
        for group in groups:
            _kill_group(group)
            _freeze(group, frozen=False)  # on v1 a frozen process dies when it thaws
        if time.monotonic() > until:
            names = ", ".join(f"{pid} {' '.join(processes.command(pid))[:60]}" for pid in victims[:5])
            raise NotPutBack(f"{len(victims)} processes of containers do not end: {names}", "see what they wait for (a dead NFS mount?), then run reset again")
        time.sleep(0.05)
    for group in groups:
        _remove(group)
    return len(groups)


def _members(groups: tuple[Path, ...]) -> Iterator[int]:
    for group in groups:
        for directory, _, _ in os.walk(group):
            with contextlib.suppress(OSError):
                yield from (int(line) for line in (Path(directory) / "cgroup.procs").read_text().split())


def _shims(processes: Processes) -> Iterator[int]:
    """Yield our shims, and everything below them: containers that somebody started by hand have other cgroups."""
    parents = processes.parents()
    ours = {pid for pid in parents if is_our_shim(processes.command(pid))}
    for pid in parents:
        at, seen = pid, set[int]()
        while at and at not in seen:
            if at in ours:
                yield pid
                break
            seen.add(at)
            at = parents.get(at, 0)


def is_our_shim(command: list[str]) -> bool:
    """Tell whether it is a shim of Kubernetes' namespace at our own containerd's socket."""
    if not command or not Path(command[0]).name.startswith("containerd-shim"):
        return False
    options = dict(itertools.pairwise(command))
    return options.get("-namespace") == _NAMESPACE and options.get("-address") == containerd.SOCKET


def _kill_group(group: Path) -> None:
    path = group / "cgroup.kill"  # since Linux 5.14; where it is not there, the loop does it
    if path.exists():
        with contextlib.suppress(OSError):
            path.write_text("1")


def _freeze(group: Path, *, frozen: bool) -> None:
    """Stop what would fork while it is killed."""
    for name, words in (("cgroup.freeze", ("0", "1")), ("freezer.state", ("THAWED", "FROZEN"))):
        path = group / name
        if path.exists():
            with contextlib.suppress(OSError):
                path.write_text(words[frozen])


def _remove(group: Path) -> None:
    for directory, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):  # the measured difference names one that stays
            Path(directory).rmdir()
