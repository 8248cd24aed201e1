"""Hosts of a lab come up side by side, and none is left when one of them does not."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack
from typing import Any, cast

import pytest

from bundler.cluster.container import TemporaryHost
from bundler.errors import ClusterFailed
from bundler.lab.hosts import start_hosts
from bundler.lab.topology import Topology
from installer_stub.host.model import Host, Role


class Machine:
    """A temporary host that writes down what becomes of it."""

    def __init__(self, name: str, role: Role, log: list[str], *, fails: bool) -> None:
        self.host, self.name, self._log, self._fails = Host(f"at-{name}", role), name, log, fails

    def __enter__(self) -> Any:
        if self._fails:
            raise ClusterFailed(f"{self.name} does not start")
        self._log.append(f"up {self.name}")
        return self

    def __exit__(self, *_: object) -> None:
        self._log.append(f"gone {self.name}")

    def close(self) -> None:
        self._log.append(f"closed {self.name}")


def start(stack: ExitStack, log: list[str], fails: str = "") -> dict[str, Any]:
    return dict(start_hosts(stack, Topology(1, 2), lambda name, role: cast("TemporaryHost", Machine(name, role, log, fails=name == fails))))


def test_hosts_have_the_topologys_order_and_roles_and_go_with_the_stack() -> None:
    log: list[str] = []
    with ExitStack() as stack:
        found = start(stack, log)
        assert [(name, machine.host.role) for name, machine in found.items()] == [("m1", Role.MASTER), ("n1", Role.NODE), ("n2", Role.NODE)]
        assert sorted(log) == ["up m1", "up n1", "up n2"]
    assert sorted(log[3:]) == ["closed m1", "closed n1", "closed n2", "gone m1", "gone n1", "gone n2"]


@pytest.mark.parametrize("fails", ["m1", "n2"])
def test_of_hosts_one_of_which_does_not_start_none_is_left(fails: str) -> None:
    log: list[str] = []
    with pytest.raises(ClusterFailed, match=fails), ExitStack() as stack:
        start(stack, log, fails)
    assert {line for line in log if line.startswith("gone")} == {"gone m1", "gone n1", "gone n2"}


def test_ctrl_c_twice_removes_no_host_before_the_others_are_made() -> None:
    log: list[str] = []
    second = threading.Event()

    class Slow(Machine):
        def __enter__(self) -> Any:
            for _ in range(2 if self.name == "m1" else 0):
                os.kill(os.getpid(), signal.SIGINT)
                second.wait(0.2)
            return super().__enter__()

    with pytest.raises(KeyboardInterrupt), ExitStack() as stack:
        start_hosts(stack, Topology(1, 1), lambda name, role: cast("TemporaryHost", Slow(name, role, log, fails=False)))
    assert [line.split()[0] for line in log] == ["up", "up", "gone", "gone"]
