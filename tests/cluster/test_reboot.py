"""Hosts that come back by themselves: a reboot, a power cut of the site, a link flap, a hardening baseline, a rewritten /etc/hosts.

Nobody runs the installer here. Docker writes /etc/hosts anew at each start of a host, as cloud-init does elsewhere.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from tests.cluster.aging import KUBELET, let_all_end
from tests.cluster.conftest import OUTPUT, Site, install
from tests.cluster.operators import as_it_must_stay
from tests.demo.__main__ import install_command, operators_environment
from tests.demo.shop import order_something
from tests.soak.cluster_state import answering
from tests.soak.restarts import whole
from tests.testbed.cache import Cache
from tests.testbed.hosts import BlankHost, TestBed
from tests.testbed.sniffer import Sniffer

pytestmark = pytest.mark.cluster

KEPT_WITHIN = 90  # seconds; the timer comes once a minute
SERVICES = "10.96.0.0/16"


@pytest.fixture(scope="module")
def site(cache: Cache, shop_run: Path) -> Iterator[Site]:
    """A site of this module's own: its hosts are treated badly."""
    kubeconfig = OUTPUT / "kubeconfig-reboot"
    kubeconfig.unlink(missing_ok=True)
    with TestBed(masters=1, nodes=1, name="reboot", dns="site", cache=cache) as bed, Sniffer(bed.bridge, bed.subnet) as sniffer:
        done = install(shop_run, bed, kubeconfig)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        yield Site(bed, shop_run, kubeconfig, done.stdout + done.stderr, sniffer)


def soon(what: Callable[[], bool], *, within: float = KEPT_WITHIN) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(2)
    return what()


def route(host: BlankHost) -> str:
    return host.run(f"ip -4 -o route show {SERVICES}").stdout.strip()


def dns_answers(bed: TestBed) -> bool:
    """A process on the node reaches the cluster's DNS by its Service's address: route, kube-proxy and CoreDNS are there."""
    return bed.nodes[0].run("bash -c 'echo -n > /dev/tcp/10.96.0.10/53'", check=False).returncode == 0


def test_each_host_restarted_in_turn_and_then_all_at_once_without_power(site: Site) -> None:
    for host in site.bed.hosts:
        host.reboot()
    whole(site.bed)
    for host in site.bed.hosts:
        host.power_off()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda host: host.power_on(), site.bed.hosts))
    whole(site.bed)
    assert soon(lambda: dns_answers(site.bed))
    for host in site.bed.hosts:
        assert as_it_must_stay(host)
        assert route(host)
        assert host.run("cat /etc/hosts").stdout.startswith("# airseal begin\n")


def test_a_link_flap_a_hardening_baseline_and_a_rewritten_hosts_file_are_put_right(site: Site) -> None:
    for host in site.bed.hosts:
        host.run("printf 'net.ipv4.ip_forward = 0\\n' > /etc/sysctl.d/99-cis.conf; systemctl restart systemd-sysctl; sysctl -qw net.ipv4.ip_forward=0")
        host.run("sed -i /airseal/d /etc/hosts 2>/dev/null || { grep -v airseal /etc/hosts > /run/h; cat /run/h > /etc/hosts; }")
        default = host.run("ip -4 -o route show default").stdout.strip()
        back = f"ip route replace {default}" if default else "true"
        host.run(f"systemd-run --quiet --unit=flap sh -c 'ip link set eth0 down; sleep 1; ip link set eth0 up; {back}'", check=False)
    time.sleep(3)
    for host in site.bed.hosts:
        assert soon(lambda host=host: as_it_must_stay(host)), host.name  # type: ignore[misc]
        assert route(host)
        assert host.run("cat /proc/sys/net/ipv4/ip_forward").stdout.strip() == "1"
    whole(site.bed)
    assert order_something(answering(site.bed), site.bed.nodes[0]).placed


def certs(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    plain = install_command(site.run, site.bed, site.kubeconfig, "--yes")
    command = [plain[0], "certs", *words, *plain[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=operators_environment(), cwd=OUTPUT)


def ends(site: Site) -> dict[str, float]:
    """Days left, of every certificate but the CAs, by host and path."""
    shown = certs(site, "show", "--json", "--within", "0")
    assert shown.returncode in {0, 11}, shown.stdout + shown.stderr
    done = json.loads(shown.stdout.splitlines()[-1])
    return {f"{each['host']} {each['path']}": each["days_left"] for each in done["certificates"] if not each["authority"]}


def client_certificate(kubeconfig: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(yaml.safe_load(kubeconfig)["users"][0]["user"]["client-certificate-data"]))


def test_a_cluster_that_slept_past_all_its_certificates_comes_back(site: Site) -> None:
    """The master by itself, at its boot; a node, which has no CA and whom nobody in the cluster knows any more, with one command."""
    master, node = site.bed.masters[0], site.bed.nodes[0]
    assert min(ends(site).values()) > 80
    before = client_certificate(site.kubeconfig.read_text())
    let_all_end(site.bed.masters, site.bed.hosts)
    for host in site.bed.hosts:
        host.run("sync")
        host.power_off()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda host: host.power_on(), site.bed.hosts))
    assert soon(lambda: bool(master.run("kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz", check=False).stdout == "ok"), within=180)
    left = {path: days for path, days in ends(site).items() if days < 0}
    assert list(left) == [f"{node.address} {KUBELET}"], left
    renewed = certs(site, "renew")
    assert renewed.returncode == 0, renewed.stdout + renewed.stderr
    assert min(ends(site).values()) > 80
    renewed_one = client_certificate(site.kubeconfig.read_text())
    assert renewed_one == client_certificate(master.run("cat /etc/kubernetes/admin.conf").stdout) != before, "the operator's copy is the master's of today"
    assert not list(site.kubeconfig.parent.glob(f"{site.kubeconfig.name}.bak*"))
    whole(site.bed)


def test_what_is_torn_of_a_masters_certificates_is_made_anew_with_the_command_that_is_printed(site: Site) -> None:
    """The API server does not start with half a certificate, and kubeadm renews none that it cannot read."""
    master = site.bed.masters[0]
    master.run("cd /etc/kubernetes/pki; truncate -s 500 apiserver-kubelet-client.crt")
    refused = site.install()  # the cluster answers, and nobody could look into a pod
    assert (refused.returncode, "certs renew" in refused.stderr) == (5, True), refused.stdout + refused.stderr
    master.run("cd /etc/kubernetes/pki; truncate -s 100 apiserver.crt; rm front-proxy-client.key; : > ../scheduler.conf; pkill kube-apiserver; sleep 3")
    renewed = certs(site, "renew")
    assert renewed.returncode == 0, renewed.stdout + renewed.stderr
    whole(site.bed)
    again = site.install()
    assert again.returncode == 0, again.stdout + again.stderr
    assert order_something(master, site.bed.nodes[0]).placed
