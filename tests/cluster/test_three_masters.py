"""Three masters and a node: every master holds etcd, the API and the images; every host knows all of them."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import OUTPUT, install, registry_login
from tests.cluster.watch import CURL_NOT_BELIEVED, Watch
from tests.demo.__main__ import install_command, operators_environment
from tests.demo.shop import ADMIN, order_something
from tests.testbed.cache import Cache
from tests.testbed.hosts import TestBed

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def bed(cache: Cache, shop_run: Path) -> Iterator[TestBed]:
    with TestBed(masters=3, nodes=1, name="three", cache=cache) as bed:
        done = install(shop_run, bed, OUTPUT / "kubeconfig-three")
        (OUTPUT / "three.log").write_text(done.stdout + done.stderr)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        yield bed


def test_every_master_is_control_plane_and_etcd_member(bed: TestBed) -> None:
    pods = json.loads(bed.masters[1].run(f"kubectl {ADMIN} -n kube-system get pods -l tier=control-plane -o json").stdout)
    running = {(pod["metadata"]["labels"]["component"], pod["spec"]["nodeName"]) for pod in pods["items"]}
    components = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    assert running == {(component, master.name) for component in components for master in bed.masters}
    endpoints = bed.masters[0].run(
        f"kubectl {ADMIN} -n kube-system exec etcd-m1 -- etcdctl --cacert /etc/kubernetes/pki/etcd/ca.crt "
        "--cert /etc/kubernetes/pki/etcd/server.crt --key /etc/kubernetes/pki/etcd/server.key endpoint health --cluster"
    )
    assert (endpoints.stdout + endpoints.stderr).count("is healthy") == 3


def test_every_host_asks_all_masters_for_images_each_in_its_own_order(bed: TestBed) -> None:
    registries = [f"https://{master.address}:5443" for master in bed.masters]
    orders = set()
    for host in bed.hosts:
        mirror = tomllib.loads(host.run("cat /etc/containerd/certs.d/_default/hosts.toml").stdout)
        assert sorted(mirror["host"]) == sorted(registries)
        assert mirror["server"] in registries
        orders.add(tuple(mirror["host"]))
    assert len(orders) == 3
    for master in bed.masters:
        assert master.run("systemctl is-active airseal-registry").stdout.strip() == "active"
    assert len({registry_login(host) for host in bed.hosts}) == 1


def test_masters_find_the_api_at_themselves_and_the_application_answers(bed: TestBed) -> None:
    for master in bed.masters:
        assert f"{master.address} api.airseal.internal" in " ".join(master.run("cat /etc/hosts").stdout.split())
    order = order_something(bed.masters[0], bed.nodes[0])
    assert order.stored == f"{order.placed['id']} coffee 2"


def test_a_new_ca_of_the_registries_and_new_certificates_while_everybody_looks(bed: TestBed, shop_run: Path) -> None:
    """No host ever meets a registry that it does not believe, and the API is there through the balancer of the node."""
    with Watch(bed) as watch:
        before = {host.run("cat /etc/airseal/ca.crt").stdout for host in bed.hosts}
        rotated = certs(bed, shop_run, "rotate-registry")
        assert rotated.returncode == 0, rotated.stdout + rotated.stderr
        after = {host.run("cat /etc/airseal/ca.crt").stdout for host in bed.hosts}
        assert len(before) == len(after) == 1
        assert before != after
        seen = watch.registries()
        assert {name for name, _ in seen} == {f"{host.name} {master.address}" for host in bed.hosts for master in bed.masters}
        assert CURL_NOT_BELIEVED not in {status for _, status in seen}
        assert {status for _, status in watch.registries(last=1)} == {0}
        renewed = certs(bed, shop_run, "renew")
        assert renewed.returncode == 0, renewed.stdout + renewed.stderr
    (OUTPUT / "three-certs.log").write_text(f"{rotated.stdout}\n{rotated.stderr}\n{renewed.stdout}\n{renewed.stderr}\n{watch.text()}")
    assert watch.api_downs, "an API server that is not started again has not read its certificate"
    assert watch.together() == [], "two masters were away at one moment"
    assert order_something(bed.masters[0], bed.nodes[0]).placed


def certs(bed: TestBed, run: Path, word: str) -> subprocess.CompletedProcess[str]:
    plain = install_command(run, bed, OUTPUT / "kubeconfig-three", "--yes")
    return subprocess.run([plain[0], "certs", word, *plain[1:]], capture_output=True, text=True, check=False, timeout=600, env=operators_environment(), cwd=OUTPUT)


def test_no_join_secret_is_left(bed: TestBed) -> None:
    secrets = bed.masters[0].run(f"kubectl {ADMIN} -n kube-system get secrets -o name").stdout
    assert "bootstrap-token" not in secrets
    assert "kubeadm-certs" not in secrets
