"""Hosts of three Debian releases, and what power and cables do to them: what soak scenarios rest on."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.testbed.hosts import BlankHost, TestBed

pytestmark = pytest.mark.cluster

SUITES = {"m1": "bullseye", "n1": "bookworm", "n2": "trixie"}


@pytest.fixture(scope="module")
def bed() -> Iterator[TestBed]:
    with TestBed(masters=1, nodes=2, name="bedtest", suite=SUITES) as running:
        yield running


def started(host: BlankHost) -> float:
    """Return when the host's process 1 began: another one after each boot."""
    return (host.root.parent / "stat").stat().st_mtime


def answers(host: BlankHost) -> bool:
    try:
        with socket.create_connection((host.address, 22), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def test_each_host_is_of_its_release_with_an_identity_of_its_own(bed: TestBed) -> None:
    codenames = {host.name: host.run(". /etc/os-release; echo $VERSION_CODENAME").stdout.strip() for host in bed.hosts}
    assert codenames == SUITES
    assert len({host.run("cat /etc/machine-id").stdout for host in bed.hosts}) == 3
    assert len({line.split()[2] for line in bed.known_hosts.read_text().splitlines()}) == 3


def test_a_power_cut_keeps_the_disk_and_loses_the_rest(bed: TestBed) -> None:
    for host in bed.hosts:
        identity = host.run("cat /etc/machine-id").stdout
        before = started(host)
        host.run("echo kept > /var/lib/kept; echo lost > /run/lost; ip route add 192.0.2.0/24 via 10.78.0.1 dev eth0 onlink")
        host.power_off()
        assert not answers(host)
        host.power_off()  # what is off stays off
        host.power_on()
        assert host.run("cat /var/lib/kept; ls /run/lost 2>&1 || true; ip route show 192.0.2.0/24").stdout.splitlines()[0] == "kept"
        assert host.run("ls /run/lost", check=False).returncode != 0
        assert host.run("ip route show 192.0.2.0/24").stdout == ""
        assert host.run("cat /etc/machine-id").stdout == identity
        assert started(host) > before


def test_a_reboot_is_an_orderly_one(bed: TestBed) -> None:
    host = bed.nodes[0]
    host.run("printf '[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStop=/bin/touch /var/lib/stopped\\nExecStart=/bin/true\\n' > /etc/systemd/system/bye.service; systemctl start bye")
    host.power_off()
    host.power_on()
    assert host.run("ls /var/lib/stopped", check=False).returncode != 0
    host.run("systemctl start bye")
    host.reboot()
    assert host.run("ls /var/lib/stopped").stdout.strip() == "/var/lib/stopped"


def test_a_pulled_cable_keeps_routes_and_a_plugged_one_works_again(bed: TestBed) -> None:
    host, other = bed.masters[0], bed.nodes[0]
    routes = host.run("ip -4 -o route show default").stdout
    host.pull_cable()
    try:
        assert not answers(host)
        assert other.run(f"ping -c 1 -W 1 {host.address}", check=False).returncode != 0
        assert int((host.root / "sys/class/net/eth0/carrier").read_text()) == 0
    finally:
        host.plug_cable()
    deadline = time.monotonic() + 20
    while not answers(host) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert host.run("ip -4 -o route show default").stdout == routes
