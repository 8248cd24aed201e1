"""Habits of sites: /etc/hosts written anew at each boot, a proxy for everything that systemd starts."""

from __future__ import annotations

import time

from tests.demo.shop import ADMIN
from tests.soak.installer import Failed
from tests.soak.restarts import whole
from tests.soak.scenario import Desk, Scenario, Trial

# What cloud-init's "manage_etc_hosts: true" does; Proxmox and many images of OpenStack set it.
HOSTS_FROM_A_TEMPLATE = """
set -e
mkdir -p /etc/cloud/templates
printf 'manage_etc_hosts: true\\n' > /etc/cloud/cloud.cfg
cp /etc/hosts /etc/cloud/templates/hosts.debian.tmpl
cat > /etc/systemd/system/cloud-init-local.service <<'U'
[Unit]
Description=stand-in for cloud-init: writes /etc/hosts from its template
DefaultDependencies=no
Before=network-pre.target kubelet.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'cat /etc/cloud/templates/hosts.debian.tmpl > /etc/hosts'
[Install]
WantedBy=multi-user.target
U
systemctl daemon-reload; systemctl enable cloud-init-local.service
"""
_VARIABLES = '"HTTP_PROXY=http://192.0.2.1:3128" "HTTPS_PROXY=http://192.0.2.1:3128" "NO_PROXY=localhost,127.0.0.1,.corp.example"'
PROXY_FOR_ALL = f"""
set -e
mkdir -p /etc/systemd/system.conf.d
printf '[Manager]\\nDefaultEnvironment={_VARIABLES}\\n' > /etc/systemd/system.conf.d/10-proxy.conf
systemctl daemon-reexec
"""
# The drop-in outlives the unit that it was made for: the commonest file of hosts that had docker.
PROXY_OF_AN_EARLIER_RUNTIME = f"""
set -e
for u in containerd kubelet; do
  mkdir -p /etc/systemd/system/$u.service.d
  printf '[Service]\\nEnvironment={_VARIABLES}\\n' > /etc/systemd/system/$u.service.d/http-proxy.conf
done
systemctl daemon-reload
"""
# A baseline of hardening that sorts after everybody: its values hold again after each boot.
LATE_SYSCTLS = "printf 'net.ipv4.ip_forward = 0\\nnet.ipv4.conf.all.forwarding = 0\\n' > /etc/sysctl.d/zz-baseline.conf; cp /etc/sysctl.d/zz-baseline.conf /etc/sysctl.conf"


def hosts_file(desk: Desk) -> None:
    """/etc/hosts comes from a template at each boot: after a power cut the nodes are Ready again by themselves."""
    with desk.trial(1, 1) as trial:
        _everywhere(trial, HOSTS_FROM_A_TEMPLATE)
        trial.install().expect(0)
        for host in trial.bed.hosts:
            host.power_off()
        for host in trial.bed.hosts:
            host.power_on()
        desk.figures["whole after"] = f"{whole(trial.bed):.0f} s"


def late_sysctls(desk: Desk) -> None:
    """A baseline that forbids forwarding and sorts last: pods of two hosts reach each other after a power cut too."""
    with desk.trial(1, 1) as trial:
        _everywhere(trial, LATE_SYSCTLS)
        trial.install().expect(0)
        for host in trial.bed.hosts:
            host.power_off()
            host.power_on()
        desk.figures["whole after"] = f"{whole(trial.bed):.0f} s"
        forwards = {host.name: host.run("cat /proc/sys/net/ipv4/ip_forward").stdout.strip() for host in trial.bed.hosts}
        if set(forwards.values()) != {"1"}:
            raise Failed(f"hosts do not forward any more: {forwards}")


def proxy_for_all(desk: Desk) -> None:
    """systemd gives everything a proxy that does not answer: installed all the same, and no static pod has it."""
    _proxied(desk, PROXY_FOR_ALL)


def proxy_of_an_earlier_runtime(desk: Desk) -> None:
    """Drop-ins with a proxy, left of an earlier containerd and kubelet: installed all the same."""
    _proxied(desk, PROXY_OF_AN_EARLIER_RUNTIME)


def _proxied(desk: Desk, setup: str) -> None:
    began = time.monotonic()
    with desk.trial(1, 1) as trial:
        _everywhere(trial, setup)
        ended = trial.install()
        desk.figures["installed"] = f"exit code {ended.code} after {time.monotonic() - began:.0f} s"
        if ended.code == 5 and "proxy" in ended.said.lower() and ".conf" in ended.said:
            desk.figures["note"] = "refused by a finding that names the file"
            return
        ended.expect(0)
        master = trial.bed.masters[0]
        poisoned = master.run("grep -il 192.0.2.1 /etc/kubernetes/manifests/* || true").stdout.split()
        proxies = master.run(f"kubectl {ADMIN} -n kube-system get daemonset kube-proxy -o yaml | grep -c 192.0.2.1 || true").stdout.strip()
        if poisoned or proxies != "0":
            raise Failed(f"the control plane carries the proxy: {poisoned}, kube-proxy {proxies} time(s)")


def _everywhere(trial: Trial, script: str) -> None:
    for host in trial.bed.hosts:
        host.run(script)


def scenarios() -> tuple[Scenario, ...]:
    """Return them."""
    return (
        Scenario("habit-hosts-file", 15, hosts_file),
        Scenario("habit-late-sysctls", 15, late_sysctls),
        Scenario("habit-proxy-for-all", 20, proxy_for_all),
        Scenario("habit-proxy-of-an-earlier-runtime", 20, proxy_of_an_earlier_runtime),
    )
