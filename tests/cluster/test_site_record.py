"""One site through its life: begun with a network of its own, run again with fewer words, grown, asked, made smaller."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.operators import RECORD, Operator, epoch, started
from tests.demo.shop import ADMIN, ROOT
from tests.testbed.blank_host import BlankHost
from tests.testbed.cache import Cache
from tests.testbed.hosts import TestBed

pytestmark = pytest.mark.cluster

SERVICES = "10.200.0.0/16"


@pytest.fixture(scope="module")
def operator(cache: Cache, shop_run: Path) -> Iterator[Operator]:
    with TestBed(masters=3, nodes=2, name="record", cache=cache) as bed:
        yield Operator(shop_run, bed)


def registries(host: BlankHost) -> set[str]:
    return set(tomllib.loads(host.run("cat /etc/containerd/certs.d/_default/hosts.toml").stdout)["host"])


def routes(host: BlankHost) -> str:
    return host.run("ip route").stdout


def test_a_command_line_with_fewer_words_changes_nothing(operator: Operator) -> None:
    m1, n1 = operator.bed.masters[0], operator.bed.nodes[0]
    both = ["--master", m1.address, "--node", n1.address]
    operator.types("install", *both, "--service-cidr", SERVICES)
    before = {host.name: (routes(host), started(host)) for host in (m1, n1)}
    assert SERVICES in before["n1"][0]
    recorded = epoch(m1)
    planned = operator.asks("plan", *both)
    assert isinstance(planned["steps"], list)
    assert [each["phase"] for each in planned["steps"] if each["needed"] is not False and not each["looks"]] == []
    operator.types("install", *both)
    assert {host.name: (routes(host), started(host)) for host in (m1, n1)} == before
    assert epoch(m1) == recorded
    in_cluster = m1.run(f"kubectl {ADMIN} -n kube-system get configmap airseal-site -o jsonpath='{{.data.site\\.json}}'").stdout
    assert json.loads(in_cluster) == json.loads(m1.run(f"cat {RECORD}").stdout)


def test_a_site_of_an_older_release_or_without_any_copy_is_read_from_the_cluster(operator: Operator) -> None:
    """Older releases left an id and a title, and no record."""
    m1, n1 = operator.bed.masters[0], operator.bed.nodes[0]
    before = json.loads(m1.run(f"cat {RECORD}").stdout)
    mark = json.dumps({"cluster": before["cluster"], "bundle": "shop:1.0.0"})
    m1.run(f"rm {RECORD}; kubectl {ADMIN} -n kube-system delete configmap airseal-site")
    for host in (m1, n1):
        host.run(f"echo '{mark}' > /var/lib/airseal/cluster.json")
    operator.types("install", "--master", m1.address, "--node", n1.address)
    after = json.loads(m1.run(f"cat {RECORD}").stdout)
    for name in ("cluster", "authority", "networks", "bundles", "hosts"):
        assert after[name] == before[name]
    assert json.loads(n1.run("cat /var/lib/airseal/cluster.json").stdout)["name"] == "n1"
    assert SERVICES in routes(n1)


def test_other_words_are_refused_with_the_difference(operator: Operator) -> None:
    m1, n1 = operator.bed.masters[0], operator.bed.nodes[0]
    said = operator.types("install", "--master", m1.address, "--node", n1.address, "--service-cidr", "10.96.0.0/16", expect=7)
    assert "--service-cidr  record says 10.200.0.0/16  command line says 10.96.0.0/16" in said
    assert "nothing was changed" in said
    said = operator.types("install", "--master", f"{m1.address},{n1.address}", expect=7)
    assert f"role of {n1.address}" in said
    assert SERVICES in routes(n1)


def test_a_site_remembers_who_signed_its_file(operator: Operator, shop_run: Path) -> None:
    """The same content, signed: taken and remembered. Then the file that nobody signed is another publisher's."""
    m1, n1 = operator.bed.masters[0], operator.bed.nodes[0]
    hosts = ["--master", m1.address, "--node", n1.address]
    signed, keys = operator.directory / "signed.run", [operator.directory / name for name in ("release", "stranger")]
    for key in keys:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "release@corp", "-f", key], check=True)
    command = [sys.executable, "-m", "bundler", "seal", str(shop_run), "-o", str(signed), "--sign", str(keys[0])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    file = ["--bundle", str(signed)]
    said = operator.types("install", *hosts, *file, "--trust", f"{keys[1]}.pub", expect=3)
    assert "it is signed by keys that nobody named: SHA256:" in said
    before = started(m1)
    said = operator.types("install", *hosts, *file, "--trust", f"{keys[0]}.pub")
    assert "trusted: release@corp" in said
    (publisher,) = json.loads(m1.run(f"cat {RECORD}").stdout)["bundles"][0]["publishers"]
    assert publisher in subprocess.run(["ssh-keygen", "-l", "-f", keys[0]], capture_output=True, text=True, check=True).stdout
    said = operator.types("install", *hosts, expect=7)
    assert f"publisher  record says {publisher}  command line says unsigned" in said
    assert "nothing was changed" in said
    status = operator.asks("status", "--via", m1.address)
    assert status["healthy"] is True, status["problems"]
    operator.types("install", *hosts, "--accept-publisher", "unsigned")
    assert "publishers" not in json.loads(m1.run(f"cat {RECORD}").stdout)["bundles"][0]
    assert before.splitlines()[0] == started(m1).splitlines()[0], "containerd was not started anew for a signature"
    signed.unlink()


def test_one_master_becomes_three_and_every_host_hears_of_it(operator: Operator) -> None:
    m1, m2, m3 = operator.bed.masters
    n1 = operator.bed.nodes[0]
    operator.types("join", "--master", f"{m2.address},{m3.address}", "--via", n1.address)
    wanted = {f"https://{master.address}:5443" for master in (m1, m2, m3)}
    assert all(registries(host) == wanted for host in (m1, m2, m3, n1))
    status = operator.asks("status", "--via", n1.address)
    assert status["healthy"] is True
    assert [each["name"] for each in status["hosts"]] == ["m1", "n1", "m2", "m3"]  # type: ignore[attr-defined,index]
    assert len(status["etcd"]) == 3  # type: ignore[arg-type]


def test_a_master_that_is_left_out_stays_listed(operator: Operator) -> None:
    m2, (n1, n2) = operator.bed.masters[1], operator.bed.nodes
    before = registries(n1)
    operator.types("install", "--master", m2.address, "--node", f"{n1.address},{n2.address}")
    assert registries(n1) == registries(n2) == registries(m2) == before
    assert len(before) == 3
    for master in operator.bed.masters:
        assert f"{master.address}:6443" in n2.run("cat /etc/airseal/balancer/haproxy.cfg").stdout


def test_a_removed_master_is_gone_everywhere_and_the_rest_is_well(operator: Operator) -> None:
    m1, m2, m3 = operator.bed.masters
    n1, n2 = operator.bed.nodes
    operator.types("remove", "m3", "--via", m1.address)
    gone = f"https://{m3.address}:5443"
    assert all(gone not in registries(host) for host in (m1, m2, n1, n2))
    assert all(f"{m3.address}:6443" not in host.run("cat /etc/airseal/balancer/haproxy.cfg").stdout for host in (n1, n2))
    assert m3.run("ls -d /etc/kubernetes /opt/airseal /var/lib/airseal 2>/dev/null || true").stdout == ""
    status = operator.asks("status", "--via", m2.address)
    assert status["healthy"] is True, status["problems"]
    assert len(status["etcd"]) == 2  # type: ignore[arg-type]
    assert m1.run(f"kubectl {ADMIN} get nodes -o name").stdout.split() == ["node/m1", "node/m2", "node/n1", "node/n2"]


def test_a_part_of_the_masters_is_not_reset_and_a_lost_node_is_forgotten(operator: Operator) -> None:
    m1, m2 = operator.bed.masters[:2]
    n2 = operator.bed.nodes[1]
    said = operator.types("reset", "--master", m1.address, expect=6)
    assert f"{m1.address} and {m2.address} are masters of one cluster" in said
    operator.types("reset", "--node", n2.address)
    assert n2.run("ls -d /opt/airseal /var/lib/airseal 2>/dev/null || true").stdout == ""
    said = operator.types("remove", "n2", "--lost", "--via", m1.address, "--force", expect=6) if _is_ready(m1, "n2") else ""
    assert "n2 is not lost" in said or not said
    m1.run(f"for i in $(seq 90); do kubectl {ADMIN} get node n2 | grep -q NotReady && break; sleep 1; done")
    operator.types("remove", "--lost", "n2", "--via", m1.address)
    assert "n2" not in m1.run(f"kubectl {ADMIN} get nodes -o name").stdout


def test_what_support_gets_has_every_host_and_no_secret(operator: Operator, tmp_path: Path) -> None:
    m1 = operator.bed.masters[0]
    target = tmp_path / "site.tar.gz"
    operator.types("logs", "--via", m1.address, "-o", str(target))
    with tarfile.open(target) as archive:
        names = archive.getnames()
        texts = [archive.extractfile(name).read().decode(errors="replace") for name in names]  # type: ignore[union-attr]
    assert {f"site/hosts/{name}/journal/kubelet.log" for name in ("m1", "m2", "n1")} <= set(names)
    login = m1.run("cat /etc/airseal/registry.credential").stdout.strip().partition(":")[2]
    keys = m1.run("grep -hv -e ---- /etc/kubernetes/pki/ca.key /etc/airseal/registry.key | head -n 1").stdout.split()
    for secret in (login, *keys):
        assert secret
        assert not [name for name, text in zip(names, texts, strict=True) if secret in text]


def test_only_force_breaks_the_majority_and_a_dead_master_is_replaced(operator: Operator) -> None:
    """With m2 off, m1 may not go; with --force it goes, the cluster stands still until m2 is back, and then forgets m1."""
    m1, m2, m3 = operator.bed.masters
    n1, n2 = operator.bed.nodes
    operator.types("join", "--master", m3.address, "--via", n1.address)
    m2.power_off()
    assert f"{m2.address}) does not answer" in operator.types("remove", "m2", "--via", m1.address, expect=6)
    said = operator.types("remove", "m1", "--via", m3.address, expect=6)
    assert "without m1, 1 of the etcd members that stay are well and 2 are needed: etcd stops" in said
    assert "nothing was changed" in said
    assert _is_ready(m3, "m1")
    said = operator.types("remove", "m1", "--force", "--via", m3.address, expect=6)
    assert "m1 is put back as it was, and etcd has no majority any more" in said
    assert f"remove --lost m1 --via {m3.address}" in said
    assert m1.run("ls -d /etc/kubernetes /opt/airseal /var/lib/airseal 2>/dev/null || true").stdout == ""
    m2.power_on()
    m3.run(f"for i in $(seq 150); do kubectl {ADMIN} --request-timeout=3s get node m1 2>&1 | grep -q NotReady && exit 0; sleep 1; done; exit 1", timeout=700)
    operator.types("remove", "--lost", "m1", "--via", m3.address)
    operator.types("join", "--master", n2.address, "--via", n1.address)
    status = operator.asks("status", "--via", n1.address)
    assert status["healthy"] is True, status["problems"]
    assert [each["name"] for each in status["hosts"]] == ["n1", "m2", "m3", "n2"]  # type: ignore[attr-defined,index]
    assert len(status["etcd"]) == 3  # type: ignore[arg-type]
    wanted = {f"https://{master.address}:5443" for master in (m2, m3, n2)}
    assert all(registries(host) == wanted for host in (m2, m3, n1, n2))
    balanced = n1.run("cat /etc/airseal/balancer/haproxy.cfg").stdout
    assert [f"{host.address}:6443" in balanced for host in (m1, m2, m3, n2)] == [False, True, True, True]


def _is_ready(master: BlankHost, node: str) -> bool:
    return " Ready" in master.run(f"kubectl {ADMIN} get node {node} --no-headers").stdout
