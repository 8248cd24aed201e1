"""A reset that cannot put everything back keeps what it needs, says what is left, and the same command finishes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import OUTPUT
from tests.soak.machine_state import left, machine_state, unnamed
from tests.soak.resets import earlier_life
from tests.soak.scenario import Trial
from tests.testbed.cache import Cache
from tests.testbed.hosts import BlankHost, TestBed

pytestmark = pytest.mark.cluster
CONFIG = "/etc/containerd/config.toml"
LEDGER = "/var/lib/airseal/ledger/log"


@pytest.fixture(scope="module")
def trial(cache: Cache, shop_run: Path) -> Iterator[Trial]:
    directory = OUTPUT / "undo"
    directory.mkdir(parents=True, exist_ok=True)
    with TestBed(masters=1, nodes=1, name="undo", cache=cache) as bed:
        for host in bed.hosts:
            earlier_life(host)
        yield Trial(bed, shop_run, directory)


def said_nothing(host: BlankHost, script: str) -> bool:
    return host.run(f"{script} || true").stdout.strip() == ""


def test_a_reset_that_fails_is_finished_by_the_same_command(trial: Trial) -> None:
    master, node = trial.bed.masters[0], trial.bed.nodes[0]
    before = {host.name: machine_state(host) for host in trial.bed.hosts}
    trial.install().expect(0)
    # An administrator changed a file of ours since; containerd of the master is down, with its containers alive.
    node.run(f"echo '# an administrator was here' >> {CONFIG}")
    master.run("systemctl stop containerd; mv /usr/local/bin/kubeadm /usr/local/bin/kubeadm.gone")
    assert not said_nothing(master, "pgrep etcd")

    first = trial.reset().expect(4)
    assert f"{CONFIG}: somebody changed it since we wrote it" in first.said
    assert "an administrator was here" in node.run(f"cat {CONFIG}").stdout
    assert node.run(f"test -s {LEDGER} && test -s /var/lib/airseal/cluster.json && test -x /opt/airseal/bin/airseal", check=False).returncode == 0
    assert said_nothing(node, "pgrep 'kubelet|containerd'; ls -d /etc/kubernetes /usr/local/bin/kubelet 2>/dev/null")
    # The other host is done, and nobody lives on over deleted data.
    assert said_nothing(master, "pgrep 'etcd|kube|containerd'; ls -d /var/lib/airseal /opt/airseal /etc/airseal 2>/dev/null")

    console = node.run("/opt/airseal/bin/airseal host undo --yes --json", check=False)  # at the host's own console
    report = json.loads(console.stdout.strip().splitlines()[-1])
    assert [one["name"] for one in report["left"]] == [CONFIG]
    assert not report["complete"]

    content = next(word for word in first.said.split() if word.startswith("/var/lib/airseal/ledger/content/")).rstrip(";:,")
    node.run(f"cp {content} {CONFIG}; chmod 0640 {CONFIG}")
    second = trial.reset().expect(0)
    silent = [
        str(one) for host in trial.bed.hosts for one in unnamed(left(before[host.name], machine_state(host)), first.said + second.said)
    ]
    (trial.directory / "silent.txt").write_text("".join(f"{one}\n" for one in silent))
    assert silent == []
    for host in trial.bed.hosts:
        assert said_nothing(host, "ls -d /var/lib/airseal /root/.kube /root/.cache 2>/dev/null")
