"""A host measured twice: what differs is named one by one, and what could not be measured is not taken for equal."""

from __future__ import annotations

from pathlib import Path

import pytest

from installer_stub.errors import LedgerDamaged
from installer_stub.ledger.difference import compare
from installer_stub.ledger.snapshot import Snapshot, take
from tests.fakes.machine import FakeHost


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path)
    host.put("/proc/sys/vm/overcommit_memory", "0\n")
    host.put("/proc/sys/net/ipv4/conf/eth0.5/forwarding", "0\n")
    host.put("/proc/modules", "overlay 1 0 - Live 0x0\n")
    return host


def lines(before: Snapshot, host: FakeHost) -> list[str]:
    return [str(each) for each in compare(Snapshot.unpack(before.pack()), take(host.machine))]


def test_an_unchanged_host_has_no_difference(host: FakeHost) -> None:
    assert lines(take(host.machine), host) == []


def test_each_thing_that_differs_is_a_line(host: FakeHost) -> None:
    host.put("/etc/gone", "x")
    before = take(host.machine)
    host.put("/proc/sys/vm/overcommit_memory", "1\n")
    host.put("/proc/sys/net/ipv4/conf/eth0.5/forwarding", "1\n")
    host.put("/proc/modules", "overlay 1 0 - Live 0x0\nvxlan 1 0 - Live 0x0\n")
    host.put("/proc/self/mounts", "/dev/vda / ext4 rw 0 0\ntmpfs /run/x tmpfs rw 0 0\n")
    host.put("/opt/cni/bin/flannel", "x", 0o755)
    host.put("/root/.kube/cache", "x")
    host.path("/etc/gone").unlink()
    host.put("/etc/airseal/ca.crt", "x")
    host.path("/sys/class/net/cni0").mkdir()
    assert set(lines(before, host)) == {
        "sysctl vm.overcommit_memory: was 0, is 1",
        "sysctl net.ipv4.conf.eth0/5.forwarding: was 0, is 1",
        "module vxlan: new, loaded",
        "mount /run/x: new",
        "file /opt/cni, with 2 more in it: new",
        "file /etc/gone: gone",
        "directory of root /root/.kube: new",
        "link cni0: new",
    }


def test_rules_are_compared_one_by_one_and_counters_are_no_difference(host: FakeHost) -> None:
    host.programs.answers["iptables-save"] = "# now\n*filter\n:INPUT ACCEPT [1:60]\n-A INPUT -j ACCEPT\nCOMMIT\n"
    before = take(host.machine)
    host.programs.answers["iptables-save"] = "# later\n*filter\n:INPUT ACCEPT [7:99]\n:KUBE-X - [0:0]\n-A INPUT -j ACCEPT\n-A INPUT -j KUBE-X\nCOMMIT\n"
    assert lines(before, host) == ["iptables-save filter chain KUBE-X: new", "iptables-save filter rule -A INPUT -j KUBE-X: new"]


def test_what_could_not_be_read_is_said(host: FakeHost) -> None:
    before = take(host.machine)
    host.programs.answers["iptables-save"] = 1
    (line,) = lines(before, host)
    assert line.startswith("iptables could not be read now")


def test_a_snapshot_that_is_no_snapshot_is_an_error() -> None:
    for data in (b"", b"x", Snapshot({"a": {"b": "c"}}).pack()[:-3]):
        with pytest.raises(LedgerDamaged):
            Snapshot.unpack(data)
