"""Any one of three masters loses its power, the first included, under traffic; the cluster goes on, and it comes back.

How long the API is away from the node is measured and printed, and judged by nobody: machines differ.
"""

from __future__ import annotations

import itertools
import json
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

import pytest
import yaml

from installer_stub.distro.api_certificate import names_in
from tests.cluster.conftest import OUTPUT, install
from tests.cluster.tcp_balancer import TcpBalancer
from tests.demo.__main__ import operators_environment
from tests.demo.shop import ADMIN, NODE_PORT, order_something
from tests.testbed.blank_host import BlankHost
from tests.testbed.cache import Cache
from tests.testbed.hosts import TestBed

pytestmark = pytest.mark.cluster

KUBECONFIG = OUTPUT / "kubeconfig-any"
# Images that nothing on a node runs: each is pulled there for the first time while a master is off.
NEVER_PULLED = {
    "m1": ("docker.io/library/busybox:1.36-glibc", "true"),
    "m2": ("registry.k8s.io/kube-scheduler:v1.36.3", "kube-scheduler --version"),
    "m3": ("registry.k8s.io/etcd:3.6.8-0", "etcdctl version"),
}
LONG = 62  # seconds: a node's lease ends after 40, its pods would be gone from its Services
_LOOP = """\
while :; do
  if curl -sk --max-time 1 -o /dev/null -w '%{http_code}' https://127.0.0.1:6443/readyz 2>/dev/null | grep -q 200; then date +%s.%N; fi
  sleep 0.1
done > /run/api-answers 2>/dev/null
"""


@dataclass
class Traffic:
    """Somebody who uses the application on the node, ten times a second, and notes every answer."""

    url: str
    _stop: Event
    answers: list[float]

    @classmethod
    def at(cls, host: BlankHost) -> Self:
        return cls(f"http://{host.address}:{NODE_PORT}/", Event(), [time.monotonic()])

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._go, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def _go(self) -> None:
        while not self._stop.wait(0.1):
            try:
                with urllib.request.urlopen(self.url, timeout=2) as answer:  # noqa: S310
                    if answer.status == 200:
                        self.answers.append(time.monotonic())
            except (urllib.error.URLError, OSError):
                continue


def longest_gap(moments: list[float]) -> float:
    """Return the longest time between two answers, in seconds."""
    return max((later - earlier for earlier, later in itertools.pairwise(moments)), default=0.0)


def until(what: str, holds: Callable[[], bool], *, timeout: float) -> float:
    """Wait until it holds; return how long that took. Fails after ``timeout`` seconds."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < timeout, f"{what}: not within {timeout:.0f} s"
        time.sleep(0.5)
    return time.monotonic() - began


def kubectl(master: BlankHost, words: str, *, check: bool = True) -> str:
    return master.run(f"kubectl {ADMIN} --request-timeout=5s {words}", check=check, timeout=60).stdout


def ready(master: BlankHost, name: str) -> bool:
    path = '{.status.conditions[?(@.type=="Ready")].status}'
    return kubectl(master, f"get node {name} -o jsonpath='{path}'", check=False).strip() == "True"


def etcd_is_whole(master: BlankHost, members: int = 3) -> bool:
    certificates = "--cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/server.crt --key /etc/kubernetes/pki/etcd/server.key"
    asked = master.run(
        f"kubectl {ADMIN} -n kube-system exec etcd-{master.name} -- etcdctl {certificates} endpoint health --cluster", check=False, timeout=60
    )
    return (asked.stdout + asked.stderr).count("is healthy") == members


@pytest.fixture(scope="module")
def bed(cache: Cache, shop_run: Path) -> Iterator[TestBed]:
    KUBECONFIG.unlink(missing_ok=True)
    with TestBed(masters=3, nodes=1, name="wish-any", cache=cache) as bed:
        done = install(shop_run, bed, KUBECONFIG)
        (OUTPUT / "any.log").write_text(done.stdout + done.stderr)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        yield bed


def test_every_host_has_its_own_way_to_the_api(bed: TestBed) -> None:
    (node,) = bed.nodes
    servers = node.run("grep -h server: /etc/kubernetes/kubelet.conf").stdout.split()
    assert servers == ["server:", "https://127.0.0.1:6443"]
    listening = node.run("ss -Hltn 'sport = :6443 or sport = :6444' | tr -s ' ' | cut -d' ' -f4").stdout.split()
    assert sorted(listening) == ["127.0.0.1:6443", "127.0.0.1:6444"]
    for master in bed.masters:
        assert "api.airseal.internal" not in master.run("grep -h server: /etc/kubernetes/*.conf").stdout
    proxy = kubectl(bed.masters[0], "-n kube-system get configmap kube-proxy -o jsonpath='{.data.kubeconfig\\.conf}'")
    assert yaml.safe_load(proxy)["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"


def test_the_balancer_has_no_privilege(bed: TestBed) -> None:
    (node,) = bed.nodes
    status = node.run("cat /proc/$(pgrep -o -x haproxy)/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["99"] * 4
    assert int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"].strip() == "1"


def test_dns_is_on_two_hosts(bed: TestBed) -> None:
    pods = json.loads(kubectl(bed.masters[0], "-n kube-system get pods -l k8s-app=kube-dns -o json"))["items"]
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 2


def test_the_operator_reaches_every_master(bed: TestBed) -> None:
    value = yaml.safe_load(KUBECONFIG.read_text())
    servers = {each["name"]: each["cluster"]["server"] for each in value["clusters"]}
    contexts = {each["name"]: servers[each["context"]["cluster"]] for each in value["contexts"]}
    assert {name: contexts[name] for name in ("m1", "m2", "m3")} == {host.name: f"https://{host.address}:6443" for host in bed.masters}


@pytest.mark.parametrize("lost", ["m3", "m2", "m1"])
def test_a_master_loses_its_power(bed: TestBed, shop_run: Path, lost: str) -> None:
    (node,) = bed.nodes
    master = next(host for host in bed.masters if host.name == lost)
    other = next(host for host in bed.masters if host.name != lost)
    image, command = NEVER_PULLED[lost]
    node.run(f"cat > /run/probe.sh <<'END'\n{_LOOP}END\nsystemd-run --quiet --unit=probe-{lost} sh /run/probe.sh")
    with Traffic.at(node) as traffic:
        time.sleep(1)
        began = time.monotonic()
        master.power_off()
        through = until("the API through another master", lambda: "ok" in kubectl(other, "get --raw=/readyz", check=False), timeout=60)
        fresh = until("a pod of an image that is new to the node", lambda: started(other, f"fresh-{lost}", image, command), timeout=120)
        resolved = until("a name in the cluster", lambda: resolves(other), timeout=90)
        if lost == "m1":
            without_the_first(bed, shop_run, other, began)
        assert ready(other, "n1")
        order = order_something(other, node)
        assert order.stored == f"{order.placed['id']} coffee 2"
    node.run(f"systemctl stop probe-{lost}")
    moments = [float(line) for line in node.run("cat /run/api-answers").stdout.split()]
    assert moments
    master.power_on()
    back = until(f"{lost} is back", lambda: ready(other, lost) and etcd_is_whole(other), timeout=180)
    print(
        f"\n{lost} off: the API was away from the node for {longest_gap(moments):.1f} s, the application for {longest_gap(traffic.answers):.1f} s; "
        f"through {other.name} after {through:.1f} s, a new image ran after {fresh:.1f} s, a name resolved after {resolved:.1f} s, back {back:.1f} s after its power"
    )


def started(master: BlankHost, name: str, image: str, command: str) -> bool:
    """Tell whether a pod of ``image`` on the node has done its work; made if it is not there yet."""
    overrides = json.dumps({"spec": {"nodeName": "n1"}})
    kubectl(master, f"run {name} --image={image} --restart=Never --overrides='{overrides}' --command -- {command}", check=False)
    return kubectl(master, f"get pod {name} -o jsonpath='{{.status.phase}}'", check=False).strip() == "Succeeded"


def resolves(master: BlankHost) -> bool:
    asked = "-n shop exec deploy/origin-docker-io -- nslookup kubernetes.default.svc.cluster.local"
    return "10.96.0.1" in kubectl(master, asked, check=False)


def without_the_first(bed: TestBed, run: Path, other: BlankHost, began: float) -> None:
    """The same command while the first master is off, and a mistake of the operator's own that is nobody's business."""
    kubectl(other, "-n shop run debug --image=docker.io/library/busybox:1.36 --restart=Never --command -- false")
    while time.monotonic() - began < LONG:
        assert ready(other, "n1")
        time.sleep(3)
    again = install(run, bed, KUBECONFIG)
    (OUTPUT / "any-without-m1.log").write_text(again.stdout + again.stderr)
    said = again.stdout + again.stderr
    assert again.returncode == 4, said[-3000:]
    assert f"{bed.masters[0].address}" in said
    assert "1 host is left out of it" in said
    assert "Pod shop/debug" in said
    assert yaml.safe_load(KUBECONFIG.read_text())["clusters"][0]["cluster"]["server"] == f"https://{other.address}:6443"


def test_with_all_of_them_back_the_same_command_has_nothing_to_do_but_say_so(bed: TestBed, shop_run: Path) -> None:
    again = install(shop_run, bed, KUBECONFIG)
    said = again.stdout + again.stderr
    assert again.returncode == 0, said[-3000:]
    assert "Pod shop/debug" in said
    assert "joined as" not in said


def shown_names(master: BlankHost) -> frozenset[str]:
    """Return what the certificate is for that an API server really shows."""
    return names_in(ssl.get_server_certificate((master.address, 6443), timeout=10).encode())


def servers_of(node: BlankHost) -> set[str]:
    return set(node.run("grep -h server: /etc/kubernetes/kubelet.conf").stdout.split()) - {"server:"}


def heard_since(master: BlankHost, node: str) -> str:
    return kubectl(master, f"-n kube-node-lease get lease {node} -o jsonpath='{{.spec.renewTime}}'", check=False)


def test_a_balancer_of_the_site_comes_later_and_goes_again(bed: TestBed, shop_run: Path) -> None:
    m1, m2, _ = bed.masters
    (node,) = bed.nodes
    ids = [master.run("pgrep -o -x kube-apiserver").stdout for master in bed.masters]
    with TcpBalancer(bed.gateway, [master.address for master in bed.masters]) as balancer:
        done = install(shop_run, bed, KUBECONFIG, "--endpoint", balancer.address, "--san", "api.shop.example")
        (OUTPUT / "any-endpoint.log").write_text(done.stdout + done.stderr)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert all({bed.gateway, "api.shop.example"} <= shown_names(master) for master in bed.masters)
        assert [master.run("pgrep -o -x kube-apiserver").stdout for master in bed.masters] == ids, "an API server reads its certificate anew by itself"
        assert servers_of(node) == {f"https://{balancer.address}"}
        assert node.run("ls /etc/kubernetes/manifests").stdout.split() == []
        assert yaml.safe_load(KUBECONFIG.read_text())["clusters"][0]["cluster"]["server"] == f"https://{balancer.address}"
        configuration = yaml.safe_load(kubectl(m1, "-n kube-system get configmap kubeadm-config -o jsonpath='{.data.ClusterConfiguration}'"))
        assert {bed.gateway, "api.shop.example"} <= set(configuration["apiServer"]["certSANs"])
        m1.power_off()
        heard = heard_since(m2, "n1")
        until("the node is heard through the endpoint", lambda: heard_since(m2, "n1") not in {heard, ""}, timeout=90)
        assert ready(m2, "n1")
        m1.power_on()
        until("m1 is back", lambda: ready(m2, "m1") and etcd_is_whole(m2), timeout=180)
        done = install(shop_run, bed, KUBECONFIG, "--endpoint", "none", "--san", "none")
        (OUTPUT / "any-endpoint-gone.log").write_text(done.stdout + done.stderr)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert not [master.name for master in bed.masters if {bed.gateway, "api.shop.example"} & shown_names(master)]
    assert servers_of(node) == {"https://127.0.0.1:6443"}
    assert node.run("ls /etc/kubernetes/manifests").stdout.split() == ["airseal-balancer.yaml"]
    heard = heard_since(m2, "n1")
    until("the node is heard without the endpoint", lambda: heard_since(m2, "n1") not in {heard, ""}, timeout=90)
    done = install(shop_run, bed, KUBECONFIG)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Name the API in its certificates: nothing to do" in done.stdout + done.stderr


def test_the_first_master_leaves_for_good_while_all_are_well(bed: TestBed, shop_run: Path) -> None:
    """The one that the cluster began with is a master like the others: nothing of the rest needs it. Last: it does not come back."""
    first, second, third = bed.masters
    (node,) = bed.nodes
    login = ["--identity", str(bed.ssh_key), "--known-hosts", str(bed.known_hosts), "--yes"]
    with Traffic.at(node) as traffic:
        command = [str(shop_run), "remove", "m1", "--via", third.address, *login]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=operators_environment(), cwd=OUTPUT)
    (OUTPUT / "any-remove-m1.log").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert first.run("ls -d /etc/kubernetes /opt/airseal /var/lib/airseal /var/lib/etcd/member 2>/dev/null || true").stdout == ""
    assert kubectl(second, "get nodes -o name").split() == ["node/m2", "node/m3", "node/n1"]
    assert etcd_is_whole(second, 2)
    for host in (second, third, node):
        assert first.address not in host.run("cat /etc/containerd/certs.d/_default/hosts.toml /var/lib/airseal/cluster.json").stdout
    assert f"{first.address}:" not in node.run("cat /etc/airseal/balancer/haproxy.cfg").stdout
    assert first.address not in second.run("cat /var/lib/airseal/site.json").stdout
    order = order_something(second, node)
    assert order.stored == f"{order.placed['id']} coffee 2"
    print(f"\nm1 taken out: the application was away for {longest_gap(traffic.answers):.1f} s")
