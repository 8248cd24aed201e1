"""A site by its Clusterfile: written from options, applied to blank hosts, written back, changed.

The operator reaches these hosts by other addresses than they reach each other: each has two, and every list that hosts have of
each other names the inner one.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import OUTPUT
from tests.cluster.operators import Operator, epoch, started
from tests.demo.shop import ADMIN
from tests.testbed.blank_host import BlankHost
from tests.testbed.cache import Cache
from tests.testbed.hosts import TestBed

pytestmark = pytest.mark.cluster

PORT = 5444
FILE = OUTPUT / "Clusterfile"


@pytest.fixture(scope="module")
def operator(cache: Cache, shop_run: Path) -> Iterator[Operator]:
    with TestBed(masters=1, nodes=2, name="wish-file", cache=cache) as bed:
        for host in bed.hosts:
            host.run(f"ip address add {inner(host)}/24 dev eth0")
            # The bed's disk, at another place: a container's own root is an overlay, on which containerd makes no other.
            host.run("mkdir /data && mount --bind /var/lib/containerd /data && umount /var/lib/containerd")
        yield Operator(shop_run, bed)


def inner(host: BlankHost) -> str:
    """Return a host's second address, of the same subnet: the bed lets nothing else pass."""
    return str(ip_address(host.address) + 100)


def both(host: BlankHost) -> str:
    return f"{host.address}={inner(host)}"


def rewrite(change: dict[str, Any]) -> dict[str, Any]:
    """Change the file by its top level fields, as somebody with an editor does; return what it says now."""
    document: dict[str, Any] = {**yaml.safe_load(FILE.read_text()), **change}
    FILE.write_text(json.dumps(document, indent=2))  # which is YAML too, and has no aliases
    return document


@contextmanager
def somebody_writes_to_nodes(master: BlankHost) -> Iterator[None]:
    """Write to every node some times a second, as kubelets and controllers do when they come: no write of ours goes by what it was before."""
    loop = f"while sleep 0.05; do kubectl {ADMIN} annotate nodes --all --overwrite theirs=$(date +%s%N); done"
    master.run(f"systemd-run --quiet --collect --unit=somebody /bin/sh -c '{loop}'")
    try:
        yield
        assert "annotated" in master.run("journalctl --unit=somebody --output=cat").stdout
    finally:
        master.run("systemctl stop somebody")


def needed(operator: Operator) -> list[str]:
    """Return the phases that the file would have something to do for."""
    planned = operator.asks("apply", "-f", str(FILE), "--check")
    steps = planned["steps"]
    assert isinstance(steps, list)
    return [each["phase"] for each in steps if each["needed"] is not False and not each["looks"]]


def kubelet(host: BlankHost) -> dict[str, Any]:
    return dict(yaml.safe_load(host.run("cat /var/lib/kubelet/config.yaml").stdout))


def test_a_file_from_options_installs_blank_hosts(operator: Operator) -> None:
    m1, (n1, _) = operator.bed.masters[0], operator.bed.nodes
    FILE.unlink(missing_ok=True)
    operator.types("init", "--master", both(m1), "--node", both(n1), "-o", str(FILE))
    document = yaml.safe_load(FILE.read_text())
    assert [host["internal"] for host in document["hosts"]] == [inner(m1), inner(n1)]
    document["hosts"][1] |= {"labels": {"shop.example/rack": "7"}, "env": {"GODEBUG": "netdns=go", "QUOTED": 'a "b" 50% \\ c'}}
    rewrite(
        {
            "hosts": document["hosts"],
            "env": {"SITE": "north"},
            "registry": {"port": PORT},
            "dataDirectories": {"etcd": "/data/etcd", "containerd": "/data/containerd", "kubelet": "/data/kubelet"},
            "patches": {
                "kubelet": {"maxPods": 77},
                "kube-apiserver": [{"op": "add", "path": "/spec/containers/0/command/-", "value": "--event-ttl=2h"}],
                "kube-scheduler": {"metadata": {"labels": {"shop.example/patched": "yes"}}},
                "containerd": "version = 3\n[plugins.'io.containerd.cri.v1.runtime']\n  max_container_log_line_size = 8192\n",
            },
        }
    )
    operator.types("apply", "-f", str(FILE))
    addresses = m1.run(f"kubectl {ADMIN} get nodes -o jsonpath='{{.items[*].status.addresses[?(@.type==\"InternalIP\")].address}}'").stdout
    assert addresses.split() == [inner(m1), inner(n1)]
    for host in (m1, n1):
        assert set(tomllib.loads(host.run("cat /etc/containerd/certs.d/_default/hosts.toml").stdout)["host"]) == {f"https://{inner(m1)}:{PORT}"}
        assert kubelet(host)["maxPods"] == 77
        running = tomllib.loads(host.run("/usr/local/bin/containerd config dump").stdout)
        assert running["root"] == "/data/containerd"
        plugin = running["plugins"]["io.containerd.cri.v1.runtime"]
        assert plugin["max_container_log_line_size"] == 8192
        assert plugin["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] == (kubelet(host)["cgroupDriver"] == "systemd")
        assert host.run("ls /data/kubelet/pods").stdout.strip()
        assert host.run("find /var/lib/containerd /var/lib/etcd -mindepth 1").stdout == ""
    environ = n1.run("tr '\\0' '\\n' < /proc/$(pidof kubelet)/environ").stdout.splitlines()
    assert {"GODEBUG=netdns=go", 'QUOTED=a "b" 50% \\ c'} <= set(environ)
    assert m1.run("ls /data/etcd").stdout.strip() == "member"
    assert "--event-ttl=2h" in m1.run("cat /etc/kubernetes/manifests/kube-apiserver.yaml").stdout
    assert "shop.example/patched" in m1.run("cat /etc/kubernetes/manifests/kube-scheduler.yaml").stdout
    assert "n1" in m1.run(f"kubectl {ADMIN} get nodes -l shop.example/rack=7 -o name").stdout


def test_the_file_of_the_running_site_changes_nothing(operator: Operator) -> None:
    m1, n1 = operator.bed.masters[0], operator.bed.nodes[0]
    asked = yaml.safe_load(FILE.read_text())
    FILE.unlink()
    operator.types("init", "--via", m1.address, "-o", str(FILE))
    written = yaml.safe_load(FILE.read_text())
    assert {name: written[name] for name in ("hosts", "env", "registry", "dataDirectories", "patches")} == {
        name: asked[name] for name in ("hosts", "env", "registry", "dataDirectories", "patches")
    }
    before, recorded = [started(host) for host in (m1, n1)], epoch(m1)
    assert needed(operator) == []
    operator.types("apply", "-f", str(FILE))
    assert [started(host) for host in (m1, n1)] == before
    assert epoch(m1) == recorded


def test_a_changed_file_does_just_that(operator: Operator) -> None:
    m1, (n1, n2) = operator.bed.masters[0], operator.bed.nodes
    document = yaml.safe_load(FILE.read_text())
    node = document["hosts"][1]
    node |= {"labels": {"shop.example/rack": "8"}, "taints": ["shop.example/slow=yes:PreferNoSchedule"]}
    rewrite({"hosts": [*document["hosts"], {**node, "address": n2.address, "internal": inner(n2), "env": {}}]})
    before = [started(host) for host in (m1, n1)]
    with somebody_writes_to_nodes(m1):
        operator.types("apply", "-f", str(FILE))
    assert [started(host) for host in (m1, n1)] == before
    nodes = json.loads(m1.run(f"kubectl {ADMIN} get nodes -l shop.example/rack=8 -o json").stdout)["items"]
    assert [each["metadata"]["name"] for each in nodes] == ["n1", "n2"]
    assert all({"key": "shop.example/slow", "value": "yes", "effect": "PreferNoSchedule"} in each["spec"]["taints"] for each in nodes)
    assert kubelet(n2)["maxPods"] == 77
    assert n2.run("ls /data/containerd").stdout.strip()


def test_what_a_cluster_keeps_for_life_is_shown_as_a_difference(operator: Operator) -> None:
    before = FILE.read_text()
    rewrite({"registry": {"port": 5443}, "dataDirectories": {"etcd": "/elsewhere"}})
    said = operator.types("apply", "-f", str(FILE), expect=7)
    FILE.write_text(before)
    for words in (f"registry.port record says {PORT}", "dataDirectories.etcd record says /data/etcd", "nothing was changed"):
        assert words in " ".join(said.split())


def test_containerds_patch_and_a_hosts_environment_come_and_go(operator: Operator) -> None:
    m1, n1 = operator.bed.masters[0], operator.bed.nodes[0]
    document = yaml.safe_load(FILE.read_text())
    hosts = [{**host, "env": {}} for host in document["hosts"]]
    rewrite({"hosts": hosts, "patches": {name: text for name, text in document["patches"].items() if name != "containerd"}})
    operator.types("apply", "-f", str(FILE))
    for host in (m1, n1):
        assert "max_container_log_line_size = 8192" not in host.run("/usr/local/bin/containerd config dump").stdout
        assert host.run("ls /etc/containerd/conf.d /etc/systemd/system/kubelet.service.d").stdout.split()[-1] == "10-kubeadm.conf"
    assert "GODEBUG" not in n1.run("tr '\\0' '\\n' < /proc/$(pidof kubelet)/environ").stdout
    assert needed(operator) == []


def test_a_reset_knows_the_directories(operator: Operator) -> None:
    m1, nodes = operator.bed.masters[0], operator.bed.nodes
    operator.types("reset", "--master", m1.address, "--node", ",".join(node.address for node in nodes))
    for host in operator.bed.hosts:
        assert host.run("ls -A /data 2>/dev/null; mount | grep -c ' on /data/' || true").stdout.split() == ["0"]
