"""A host that is switched off: whose processes end, and who is waited for."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from installer_stub.commands import host_keep
from installer_stub.keep import pods, programs

POD = "0::/kubepods/burstable/podab12/cd34\n"
SLICE = "11:pids:/kubepods.slice/kubepods-besteffort.slice/cri-containerd-x.scope\n"
CATCHES, DEAF = "00000001800044f9", "0000000180000cf9"  # with and without bit 14, SIGTERM


class Machine:
    """Processes that do with signals what the kernel and their programs would. ``ends`` by TERM: seconds that it takes; None: never."""

    def __init__(self, proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proc, self.now = proc, 0.0
        self.sent: list[tuple[int, int]] = []
        self._ends: dict[int, float | None] = {}
        self._due: dict[int, float] = {}
        monkeypatch.setattr(pods.os, "kill", self._kill)

    def process(self, pid: int, cgroup: str, caught: str, ends: float | None, name: str = "shop") -> None:
        directory = self.proc / str(pid)
        directory.mkdir()
        (directory / "cgroup").write_text(cgroup)
        (directory / "cmdline").write_text(f"/usr/bin/{name}\0--flag\0")
        (directory / "status").write_text(f"Name:\tx\nSigIgn:\t0000000000001000\nSigCgt:\t{caught}\n")
        self._ends[pid] = ends

    def _kill(self, pid: int, what: int) -> None:
        if not (self.proc / str(pid)).exists():
            raise ProcessLookupError
        self.sent.append((pid, what))
        ends = 0.0 if what == signal.SIGKILL else self._ends[pid]
        if ends is not None:
            self._due[pid] = self.now + ends
        self.sleep(0.0)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for pid in [pid for pid, due in self._due.items() if due <= self.now]:
            del self._due[pid]
            shutil.rmtree(self.proc / str(pid))

    def end(self, **more: float) -> tuple[str, ...]:
        return pods.end(proc=str(self.proc), clock=lambda: self.now, sleep=self.sleep, **more)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_who_acts_upon_term_has_its_time_and_who_is_deaf_costs_none(machine: Machine) -> None:
    machine.process(10, POD, CATCHES, ends=3.0)
    machine.process(11, SLICE, DEAF, ends=None)  # a first process without a handler
    machine.process(12, POD, DEAF, ends=0.0)  # its child has no handler either, and ends at once
    machine.process(13, "0::/system.slice/ssh.service\n", CATCHES, ends=0.0)
    assert machine.end() == ("shop",)
    assert 3.0 <= machine.now < 4.0
    assert set(machine.sent) == {(10, signal.SIGTERM), (11, signal.SIGTERM), (12, signal.SIGTERM), (11, signal.SIGKILL)}
    assert [each.name for each in machine.proc.iterdir()] == ["13"]


def test_who_does_not_end_is_killed_after_the_grace(machine: Machine) -> None:
    machine.process(10, POD, CATCHES, ends=None)
    assert machine.end(grace=7.0) == ("shop",)
    assert 7.0 <= machine.now < 8.0
    assert not list(machine.proc.iterdir())


def test_etcd_is_asked_to_end_when_nobody_needs_it_any_more(machine: Machine) -> None:
    machine.process(10, POD, CATCHES, ends=1.0, name="etcd")
    machine.process(11, POD, CATCHES, ends=5.0, name="kube-apiserver")
    assert machine.end() == ()
    assert machine.sent == [(11, signal.SIGTERM), (10, signal.SIGTERM)]
    assert 6.0 <= machine.now < 7.0


def test_a_host_without_pods_waits_for_nothing(machine: Machine) -> None:
    assert machine.end() == ()
    assert machine.now == 0.0


@pytest.mark.parametrize(("state", "ended"), [("stopping", True), ("running", False), ("degraded", False), ("", False), ("maintenance", False)])
def test_only_while_the_host_goes_down(monkeypatch: pytest.MonkeyPatch, state: str, *, ended: bool) -> None:
    """containerd is restarted by a second run, by an upgrade, by hand: its containers run on."""
    calls: list[str] = []
    monkeypatch.setattr(pods, "run", lambda *_, **__: programs.Done(0 if state == "running" else 1, state))
    monkeypatch.setattr(pods, "end", lambda: calls.append("end") or ())
    assert host_keep._end_pods() == 0
    assert bool(calls) == ended
