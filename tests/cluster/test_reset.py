"""reset on hosts that had a life before: what differs afterwards is nothing, or the installer names it one by one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.conftest import OUTPUT
from tests.soak.machine_state import left, machine_state, unnamed
from tests.soak.resets import earlier_life
from tests.soak.scenario import Trial
from tests.testbed.cache import Cache
from tests.testbed.hosts import TestBed

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def trial(cache: Cache, shop_run: object) -> Iterator[Trial]:
    directory = OUTPUT / "reset"
    directory.mkdir(parents=True, exist_ok=True)
    with TestBed(masters=1, nodes=1, name="reset", cache=cache) as bed:
        for host in bed.hosts:
            earlier_life(host)
        yield Trial(bed, shop_run, directory)  # type: ignore[arg-type]


def test_reset_puts_the_hosts_back_and_they_can_be_installed_again(trial: Trial) -> None:
    before = {host.name: machine_state(host) for host in trial.bed.hosts}
    trial.install().expect(0)
    ended = trial.reset().expect(0)
    found = [one for host in trial.bed.hosts for one in left(before[host.name], machine_state(host))]
    (trial.directory / "left.txt").write_text("".join(f"{one}\n" for one in found))
    silent = [str(one) for one in unnamed(found, ended.said)]
    assert silent == [], f"{len(silent)} of {len(found)} differences were not named"
    for host in trial.bed.hosts:  # some are never to be left, named or not
        assert host.run("ls -d /opt/airseal /var/lib/airseal /etc/airseal /usr/local/bin/kubelet 2>/dev/null || true").stdout == ""
        assert host.run("pgrep -l 'kubelet|containerd|etcd|kube' || true").stdout == ""
        assert "airseal" not in host.run("cat /etc/hosts").stdout
        assert host.run("systemctl is-enabled containerd; systemctl is-active containerd", check=False).stdout.split() == ["enabled", "inactive"]
    trial.install().expect(0)
