"""Three masters and a node: every master holds etcd, the API and the images; every host knows all of them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import OUTPUT, install, registry_login
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


def test_no_join_secret_is_left(bed: TestBed) -> None:
    secrets = bed.masters[0].run(f"kubectl {ADMIN} -n kube-system get secrets -o name").stdout
    assert "bootstrap-token" not in secrets
    assert "kubeadm-certs" not in secrets
