"""reset: the hosts as they were, with nothing of ours left; and they can be installed again."""

from __future__ import annotations

import subprocess

import pytest

from tests.cluster.conftest import Site
from tests.demo.__main__ import install_command, operators_environment

pytestmark = pytest.mark.cluster


def test_reset_puts_the_hosts_back_and_they_can_be_installed_again(site: Site) -> None:
    words = install_command(site.run, site.bed, site.kubeconfig, "--yes")
    at = words.index("--kubeconfig")
    command = [words[0], "reset", *words[1:at], *words[at + 2 :]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=operators_environment())
    assert done.returncode == 0, done.stdout + done.stderr
    for host in site.bed.hosts:
        left = host.run(
            "ls -d /opt/airseal /var/lib/airseal /etc/airseal /etc/kubernetes /etc/containerd /usr/local/bin/kubelet "
            "/etc/systemd/system/kubelet.service /etc/systemd/system/airseal-registry.service 2>/dev/null || true"
        ).stdout
        assert left == "", left
        assert "airseal" not in host.run("cat /etc/hosts").stdout
        assert host.run("pgrep -l 'kubelet|containerd|etcd' || true").stdout == ""
    again = site.install()
    assert again.returncode == 0, again.stdout + again.stderr
