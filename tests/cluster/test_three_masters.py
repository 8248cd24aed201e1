"""Three masters and a node: every master holds etcd, the API and the images; every host knows all of them."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer_stub.bundle.names import blob_name
from installer_stub.bundle.reader import Bundle
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.closure import closure
from tests.cluster.conftest import OUTPUT, install, registry_login
from tests.cluster.watch import CURL_NOT_BELIEVED, Watch
from tests.demo.__main__ import install_command, operators_environment
from tests.demo.shop import ADMIN, order_something
from tests.testbed.blank_host import BlankHost
from tests.testbed.cache import Cache
from tests.testbed.hosts import TestBed

pytestmark = pytest.mark.cluster

NEVER_PULLED = "docker.io/library/busybox:1.36-glibc"  # the CronJob's, named in images.txt


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
    return typed(bed, run, "certs", word)


def typed(bed: TestBed, run: Path, *verb: str) -> subprocess.CompletedProcess[str]:
    plain = install_command(run, bed, OUTPUT / "kubeconfig-three", "--yes")
    if verb == ("status",):
        at = plain.index("--kubeconfig")
        del plain[at : at + 2]
    return subprocess.run([plain[0], *verb, *plain[1:]], capture_output=True, text=True, check=False, timeout=600, env=operators_environment(), cwd=OUTPUT)



def test_what_rots_on_a_masters_disk_is_found_not_served_and_copied_again(bed: TestBed, shop_run: Path) -> None:
    """A layer of an image that no host has yet. Read from the disk again, it is 404 there; that host itself pulls it from another master."""
    rotten, other = bed.masters[1], bed.masters[2]
    with Bundle.open(shop_run) as bundle:
        root = next(root for reference, root in bundle.images() if str(reference) == NEVER_PULLED)
        parts = closure(bundle.blobs, root, tuple(Platform.parse(text) for text in bundle.info.platforms))
        layer = max(parts, key=lambda part: part.size).digest
        place = bundle.place_of(blob_name(layer)).data
    file = rotten.run("ls /var/lib/airseal/bundles/*.run").stdout.strip()
    rotten.run("systemctl start airseal-scrub")
    rotten.run(f"m=$(stat -c @%.9Y {file}); printf '?!' | dd of={file} bs=1 seek={place} conv=notrunc status=none; touch -d $m {file}")
    assert rotten.run("systemctl start airseal-scrub", check=False).returncode != 0
    assert layer.encoded in rotten.run(f"cat {file}.damage").stdout
    assert [answer(rotten, master, layer) for master in (rotten, other)] == ["404", "200"]
    overrides = json.dumps({"spec": {"nodeName": rotten.name, "tolerations": [{"operator": "Exists"}]}})
    rotten.run(f"kubectl {ADMIN} run fresh --image={NEVER_PULLED} --restart=Never --overrides='{overrides}' --command -- true")
    rotten.run(f"kubectl {ADMIN} wait pod/fresh --for=jsonpath='{{.status.phase}}'=Succeeded --timeout=90s", timeout=120)
    rotten.run(f"kubectl {ADMIN} delete pod fresh")
    asked = typed(bed, shop_run, "status")
    assert asked.returncode == 6
    assert f"{rotten.name}: damaged on its disk: shop-1.0.0.run: 1 of its" in asked.stdout
    done = install(shop_run, bed, OUTPUT / "kubeconfig-three")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "it is copied again" in done.stdout + done.stderr
    assert rotten.run(f"ls {file}.damage", check=False).returncode != 0
    assert answer(rotten, rotten, layer) == "200"
    rotten.run("systemctl start airseal-scrub")
    asked = typed(bed, shop_run, "status")
    assert asked.returncode == 0, asked.stdout + asked.stderr


def answer(host: BlankHost, master: BlankHost, blob: Digest) -> str:
    """Return the status with which the master's registry answers the host for a blob of that image."""
    path = NEVER_PULLED.partition("/")[2].partition(":")[0]
    text = "curl -s -o /dev/null -w '%{http_code}' --cacert /etc/airseal/ca.crt -u \"$(head -n 1 /etc/airseal/registry.credential)\""
    return host.run(f"{text} 'https://{master.address}:5443/v2/{path}/blobs/{blob}?ns=docker.io'").stdout


def test_no_join_secret_is_left(bed: TestBed) -> None:
    secrets = bed.masters[0].run(f"kubectl {ADMIN} -n kube-system get secrets -o name").stdout
    assert "bootstrap-token" not in secrets
    assert "kubeadm-certs" not in secrets
