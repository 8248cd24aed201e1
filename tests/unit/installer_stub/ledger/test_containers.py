"""Which processes are ours to end: pods' cgroups and Kubernetes' shims, whatever runs beside them; for real, on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from installer_stub.errors import NotPutBack
from installer_stub.ledger.containers import Processes, end_containers, is_our_shim

OURS = ["/usr/local/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", "x", "-address", "/run/containerd/containerd.sock", ""]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (OURS, True),
        ([word.replace("k8s.io", "moby") for word in OURS], False),
        ([word.replace("/run/containerd", "/run/docker/containerd") for word in OURS], False),
        (["/usr/bin/vim", "containerd-shim-runc-v2", "-namespace", "k8s.io"], False),
        ([], False),
    ],
)
def test_our_shims(command: list[str], expected: object) -> None:
    assert is_our_shim(command) is expected


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


class Kernel:
    """Cgroups as directories: a killed process leaves its group."""

    def __init__(self, root: Path, groups: dict[str, list[int]]) -> None:
        self.root = root
        self.groups = groups
        self.killed: list[int] = []
        for group in groups:
            (root / group).mkdir(parents=True, exist_ok=True)
        self._write()

    def _write(self) -> None:
        for group, pids in self.groups.items():
            (self.root / group / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids if pid not in self.killed))

    def kill(self, pid: int, _signal: int) -> None:
        self.killed.append(pid)
        self._write()


def proc(root: Path, **processes: tuple[int, list[str]]) -> Path:
    for pid, (parent, command) in processes.items():
        directory = root / pid.removeprefix("p")
        directory.mkdir(parents=True)
        (directory / "stat").write_text(f"{pid.removeprefix('p')} (a) b) S {parent} 1 1")
        (directory / "cmdline").write_bytes("\0".join(command).encode())
    return root


@pytest.mark.parametrize("top", ["kubepods", "kubepods.slice", "memory/kubepods", "systemd/kubepods.slice", "freezer/kubepods"])
def test_pods_in_every_hierarchy_and_nothing_beside_them(tmp_path: Path, top: str) -> None:
    kernel = Kernel(tmp_path / "cgroup", {f"{top}/burstable/pod1/c1": [11, 12], f"{top}/pod2": [13], "system.slice/docker-x.scope": [21], "docker/y": [22]})
    processes = Processes(proc(tmp_path / "proc"), tmp_path / "cgroup", kernel.kill)
    (tmp_path / "proc").mkdir(exist_ok=True)
    assert end_containers(processes) == 1
    assert sorted(kernel.killed) == [11, 12, 13]


def test_shims_and_all_below_them_but_not_dockers(tmp_path: Path) -> None:
    docker = [word.replace("k8s.io", "moby") for word in OURS]
    root = proc(tmp_path / "proc", p1=(0, ["init"]), p30=(1, OURS), p31=(30, ["etcd"]), p32=(31, ["child"]), p40=(1, docker), p41=(40, ["nginx"]))
    killed: list[int] = []

    def kill(pid: int, _signal: int) -> None:
        killed.append(pid)
        (root / str(pid) / "stat").unlink()

    end_containers(Processes(root, tmp_path / "none", kill))
    assert sorted(killed) == [30, 31, 32]


def test_what_does_not_die_is_named(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path / "cgroup", {"kubepods/pod1": [31]})
    root = proc(tmp_path / "proc", p31=(1, ["etcd", "--name"]))
    with pytest.raises(NotPutBack, match="31 etcd --name"):
        end_containers(Processes(root, tmp_path / "cgroup", lambda _pid, _signal: None), deadline=0.2)
    assert kernel.killed == []


def test_a_real_process_ends(tmp_path: Path) -> None:
    process = sleeper()
    (tmp_path / "kubepods").mkdir()
    procs = tmp_path / "kubepods" / "cgroup.procs"
    procs.write_text(f"{process.pid}\n")

    def kill(pid: int, number: int) -> None:
        os.kill(pid, number)
        assert process.wait(10) == -signal.SIGKILL
        procs.unlink()

    empty = tmp_path / "proc"
    empty.mkdir()
    end_containers(Processes(empty, tmp_path, kill))
    assert process.poll() == -signal.SIGKILL
    assert not (tmp_path / "kubepods").exists()
