"""Power cuts at what a host shows, not at what the installer says: in the middle of a pull, of a file, of two changes that belong together."""

from __future__ import annotations

import functools
import shlex
from dataclasses import dataclass

from tests.soak.installer import INSTALL_TIMEOUT, Failed
from tests.soak.interruptions import finish
from tests.soak.scenario import Desk, Scenario, Trial
from tests.testbed.hosts import BlankHost
from tests.testbed.ssh import run_ssh

_KUBECTL = "kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=2s -n kube-system get"
_INGEST = "find /var/lib/containerd/io.containerd.content.v1.content/ingest -name data -size +256k 2>/dev/null | grep -q ."


@dataclass(frozen=True)
class Sign:
    """A command on a host that succeeds when the moment has come; ``still`` says afterwards whether it was not over."""

    name: str
    role: str
    seen: str
    still: str = ""


SIGNS = (
    Sign("a half copied artifact", "master", "find /var/lib/airseal/bundles -name '*.part' -size +8M 2>/dev/null | grep -q ."),
    Sign("a pull under way", "node", _INGEST, _INGEST),
    Sign("a pull under way", "master", _INGEST, _INGEST),
    Sign("etcd's pod written, no API yet", "master", "test -s /etc/kubernetes/manifests/etcd.yaml", "! curl -sk https://127.0.0.1:6443/readyz | grep -q ^ok"),
    Sign(
        "kube-proxy's file turned, its pods not yet", "master",
        f"{_KUBECTL} configmap kube-proxy -o yaml 2>/dev/null | grep -q 'server: https://127.0.0.1'",
        f"! {_KUBECTL} daemonset kube-proxy -o yaml | grep -q airseal.internal/points-at",
    ),
)  # fmt: skip


def cut_at_signs(desk: Desk, *, masters: int, nodes: int) -> None:
    """Power cuts of the host that shows a sign (half a copy, half a pull, one of two changes), one after the other; then the same command."""
    desk.clean(masters, nodes)
    with desk.trial(masters, nodes) as trial:
        for number, sign in enumerate(SIGNS, 1):
            host = (trial.bed.masters if sign.role == "master" else trial.bed.nodes)[0]
            desk.figures[f"{number:02d}"] = f"{host.name}: {sign.name}: {_cut(trial, host, sign)}"
        finish(desk, trial)


def _cut(trial: Trial, host: BlankHost, sign: Sign) -> str:
    """Install until ``host`` shows the sign, take its power, give it back; say how it was met and how the installer ended."""
    with trial.start() as installer:
        # What airseal runs there stops in the same moment, so that the next of two changes cannot come before the power goes.
        watch = f"until {sign.seen}; do sleep 0.02; done; pkill -STOP -f [/]opt/airseal/bin/airseal; {sign.still or ':'} && echo in time || echo too late"
        met = run_ssh(host.ssh_command(), f"timeout 120 sh -c {shlex.quote(watch)}", timeout=INSTALL_TIMEOUT).stdout.strip() or "never seen"
        host.power_off()
        ended = installer.wait(timeout=900)
        host.power_on()
    if ended.code not in {0, 4, 6, 8} or "Traceback (most" in ended.said:
        raise Failed(f"of a host without power the installer said, with exit code {ended.code}:\n{ended.tail}")
    return f"{met}, exit code {ended.code} after {ended.seconds:.0f} s"


def scenarios() -> tuple[Scenario, ...]:
    """Return one of each topology."""
    return tuple(
        Scenario(f"cut-at-signs-{masters}+{nodes}", 45, functools.partial(cut_at_signs, masters=masters, nodes=nodes)) for masters, nodes in ((1, 1), (3, 1))
    )
