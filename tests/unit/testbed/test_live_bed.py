"""With docker: hosts come up blank, keep running when asked for again, and cannot reach anything but each other."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.testbed.cache import Cache
from tests.testbed.hosts import TestBed, beds
from tests.testbed.sniffer import Sniffer

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def bed() -> Iterator[TestBed]:
    with TestBed(masters=1, nodes=1, name="selftest") as running:
        yield running


def test_hosts_are_entered_by_key_and_know_their_names(bed: TestBed) -> None:
    assert [host.run("hostname").stdout.strip() for host in bed.hosts] == ["m1", "n1"]


def test_hosts_differ_in_machine_id_and_host_key(bed: TestBed) -> None:
    assert len({host.run("cat /etc/machine-id").stdout for host in bed.hosts}) == 2
    assert len({line.split()[2] for line in bed.known_hosts.read_text().splitlines()}) == 2


def test_a_second_up_leaves_running_hosts_alone(bed: TestBed) -> None:
    before = bed.masters[0].run("cat /proc/stat | grep btime; ps -o lstart= 1").stdout
    bed.up()
    assert bed.masters[0].run("cat /proc/stat | grep btime; ps -o lstart= 1").stdout == before


def test_the_password_is_not_left_on_the_host(bed: TestBed) -> None:
    found = bed.masters[0].run(f"grep -rsF '{bed.ops_password}' /etc /root /home /var/log", check=False)
    assert found.returncode == 1


def test_nothing_leaves_and_an_attempt_is_seen(bed: TestBed) -> None:
    master, node = bed.hosts
    with Sniffer(bed.bridge, bed.subnet, reported={"services": "10.96.0.0/16"}) as sniffer:
        master.run(f"ping -c 2 {node.address} && ping -c 2 {bed.gateway}")
        assert sniffer.report().is_clean, sniffer.report()
        master.run("ping -W 1 -c 1 192.0.2.1; ping -W 1 -c 1 10.96.0.1", check=False)  # a TCP SYN would be sent again
    report = sniffer.report()
    assert [str(packet.destination) for packet in report.first] == ["192.0.2.1"]
    assert report.reported == {"services": 1}


def test_down_removes_hosts_network_and_volumes() -> None:
    def volumes() -> set[str]:
        listed = subprocess.run(["docker", "volume", "ls", "-q"], capture_output=True, text=True, check=True)
        return set(listed.stdout.split())

    with TestBed(masters=1, name="selftest2") as short:
        mounted = {mount for mount in _mounts(short.masters[0].container) if mount}
        assert len(mounted) == 3
    assert not mounted & volumes()
    assert "selftest2" not in beds(Cache.default())


def _mounts(container: str) -> list[str]:
    form = "{{range .Mounts}}{{.Name}} {{end}}"
    listed = subprocess.run(
        ["docker", "inspect", "-f", form, container], capture_output=True, text=True, check=True
    )
    return listed.stdout.split()
