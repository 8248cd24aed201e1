"""Hosts as companies have them: a proxy for all of systemd, drop-ins of an earlier life, no ip program, additions to containerd."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import OUTPUT, Site, install
from tests.cluster.operators import as_it_must_stay
from tests.demo.__main__ import install_command, operators_environment
from tests.demo.shop import order_something
from tests.testbed.cache import Cache
from tests.testbed.hosts import TestBed
from tests.testbed.sniffer import Sniffer

pytestmark = pytest.mark.cluster

# The proxy does not answer: whoever asks it waits. What it is called holds a password, as in real life.
PROXY = "http://company:pr0xy-passw0rd@192.0.2.1:3128"
STRANGE = f"""\
mkdir -p /etc/systemd/system.conf.d /etc/systemd/system/containerd.service.d /etc/systemd/system/kubelet.service.d
printf '[Manager]\\nDefaultEnvironment="HTTP_PROXY={PROXY}" "HTTPS_PROXY={PROXY}" "http_proxy={PROXY}" "NO_PROXY=localhost"\\n' > /etc/systemd/system.conf.d/10-proxy.conf
for unit in containerd kubelet; do
  printf '[Service]\\nEnvironment="HTTPS_PROXY={PROXY}"\\nMemoryMax=1M\\n' > /etc/systemd/system/$unit.service.d/http-proxy.conf
done
systemctl daemon-reexec
for p in /usr/sbin/ip /usr/bin/ip /sbin/ip /bin/ip; do if [ -e $p ]; then mv $p $p.off; fi; done
"""
DROPIN = "/etc/systemd/system/containerd.service.d/http-proxy.conf"


@pytest.fixture(scope="module")
def site(cache: Cache, shop_run: Path) -> Iterator[Site]:
    kubeconfig = OUTPUT / "kubeconfig-company"
    kubeconfig.unlink(missing_ok=True)
    with TestBed(masters=1, nodes=1, name="company", dns="site", cache=cache) as bed, Sniffer(bed.bridge, bed.subnet) as sniffer:
        for host in bed.hosts:
            host.run(STRANGE)
        done = install(shop_run, bed, kubeconfig)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        yield Site(bed, shop_run, kubeconfig, done.stdout + done.stderr, sniffer)


def test_no_proxy_reaches_the_cluster_and_all_is_said_before(site: Site) -> None:
    assert "systemd gives every service" in site.output
    assert DROPIN in site.output
    assert "pr0xy-passw0rd" not in site.output
    manifests = site.bed.masters[0].run("cat /etc/kubernetes/manifests/*.yaml").stdout.lower()
    assert "_proxy" not in manifests
    for host in site.bed.hosts:
        for program in ("kubelet", "containerd"):
            environment = host.run(f"tr '\\0' '\\n' < /proc/$(pidof {program})/environ").stdout
            assert "PATH=" in environment
            assert "_proxy=" not in environment.lower()
        assert host.run(f"ls {DROPIN}", check=False).returncode != 0
        assert as_it_must_stay(host)
        assert host.run("while read -r _ to _ _ _ _ _ mask _; do echo $to $mask; done < /proc/net/route").stdout.count("0000600A 0000FFFF") == 1
    assert order_something(site.bed.masters[0], site.bed.nodes[0]).placed


def test_additions_to_containerd_stay_and_edits_are_asked_for(site: Site) -> None:
    node = site.bed.nodes[0]
    addition = "/etc/containerd/conf.d/50-site.toml"
    node.run(f"mkdir -p /etc/containerd/conf.d; printf \"version = 3\\n[debug]\\n  level = 'debug'\\n\" > {addition}; systemctl restart containerd")
    assert "level = 'debug'" in node.run("/usr/local/bin/containerd config dump").stdout
    again = site.install()
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Prepare the hosts: nothing to do" in again.stdout + again.stderr
    assert "Configure the container runtime: nothing to do" in again.stdout + again.stderr
    assert "level = 'debug'" in node.run(f"cat {addition}").stdout
    node.run("cp -p /etc/containerd/config.toml /run/ours; printf '[debug]\\n' >> /etc/containerd/config.toml")
    refused = site.install()
    assert refused.returncode == 5, refused.stdout + refused.stderr
    assert "--take /etc/containerd/config.toml" in refused.stdout + refused.stderr
    assert node.run("tail -1 /etc/containerd/config.toml").stdout == "[debug]\n"
    node.run("cp -p /run/ours /etc/containerd/config.toml")


def test_a_reset_puts_the_dropins_back_and_leaves_nothing_of_the_hosts_own_unit(site: Site) -> None:
    words = install_command(site.run, site.bed, site.kubeconfig, "--yes")
    at = words.index("--kubeconfig")
    command = [words[0], "reset", *words[1:at], *words[at + 2 :]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=operators_environment(), cwd=OUTPUT)
    assert done.returncode == 0, done.stdout + done.stderr
    for host in site.bed.hosts:
        assert "MemoryMax=1M" in host.run(f"cat {DROPIN}").stdout
        assert "airseal" not in host.run("cat /etc/hosts; ls /etc/systemd/system; systemctl list-timers --all --no-pager").stdout
        assert "0000600A" not in host.run("cat /proc/net/route").stdout
