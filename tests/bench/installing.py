"""``install-1+1``, ``install-3+3``: the installer against a hand-written kubeadm script, from blank hosts to all ready.

And what it costs: the same command on the finished cluster, round trips, bytes, memory.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from installer_stub.bundle.reader import Bundle
from tests.bench.bench import BED, Bench
from tests.bench.by_hand import ByHand, kubectl
from tests.bench.measure import MB, Measure
from tests.bench.pull_sources import registries
from tests.bench.watching import Watched, watch
from tests.demo.__main__ import install_command, operators_environment
from tests.testbed.hosts import BlankHost, TestBed
from tests.testbed.internet import Internet
from tests.testbed.progress import say

_GOALS = {"1+1": 0.85, "3+3": 0.9}
_SECONDS_A_HOST = 2.0
_MAX_MB = 300


def install_small(bench: Bench) -> list[Measure]:
    """One master, one node."""
    return _measure(bench, masters=1, nodes=1, least=2)


def install_large(bench: Bench) -> list[Measure]:
    """Three masters, three nodes."""
    return _measure(bench, masters=3, nodes=3, least=1)


def _measure(bench: Bench, *, masters: int, nodes: int, least: int) -> list[Measure]:
    Internet(bench.cache).up()
    sides = Sides(bench, BED)
    ours, peer = [], []
    for number in range(bench.repetitions(least)):
        ours.append(sides.ours(masters, nodes, number + 1))
        peer.append(sides.by_hand(masters, nodes))
    size = f"{masters}+{nodes}"
    run, hosts = bench.run, masters + nodes
    command = f"`./{run.name} --master … --node …` ({run.stat().st_size / MB:.0f} MB)"
    install = Measure(
        f"install-{size}",
        what=f"{command} until it returns: {masters} master(s), {nodes} node(s), all settled and accepted",
        peer="a hand-written kubeadm script (tests/bench/by_hand.py): the same binaries and commands, images from plain-HTTP distribution registries on this machine, until every workload is ready",
        unit="s",
        values=tuple(side.first.seconds for side in ours),
        peer_values=tuple(took for took, _ in peer),
        max_ratio=_GOALS.get(size),
        notes=(
            "both on new blank hosts of the same kind, in turns; the clock starts when they are up",
            f"pods running at the end: {ours[-1].pods} ours, {peer[-1][1]} by hand",
            "only ours keeps the images inside the site (the artifact on every master, a TLS registry), checks hosts first, journals, looks twice before it says done, and checks where every image came from; by hand, all masters and nodes depend on the first master's address",
        ),
    )
    return [install, *_costs(size, command, hosts, ours, _must_be_sent(run, masters, hosts))]


def _costs(size: str, command: str, hosts: int, ours: Sequence[Installed], least: int) -> list[Measure]:
    changed = tuple(path for side in ours for path in side.again.changed)
    return [
        Measure(
            f"again-{size}",
            what=f"{command} once more on the finished cluster, until it returns: seconds for each of {hosts} hosts",
            peer="the installation before it, for each host",
            unit="s",
            values=tuple(side.again.seconds / hosts for side in ours),
            peer_values=tuple(side.first.seconds / hosts for side in ours),
            max_value=_SECONDS_A_HOST,
            notes=("two of these seconds are one pause for the whole site: the cluster is looked at twice before it is called settled",),
        ),
        Measure(
            f"again-changes-{size}",
            what="files that the second run wrote, on all hosts (/etc, /opt, /usr/local, /root, /var/lib/airseal)",
            peer="files that the installation wrote",
            unit="files",
            values=tuple(float(len(side.again.changed)) for side in ours),
            peer_values=tuple(float(len(side.first.changed)) for side in ours),
            max_value=0,
            notes=(f"these: {', '.join(changed[:20])}",) if changed else (),
        ),
        Measure(
            f"round-trips-{size}",
            what="questions that the second run asked of a host, each one round trip: the mean of all hosts",
            peer="the same of the installation",
            unit="a host",
            values=tuple(side.again.asked / hosts for side in ours),
            peer_values=tuple(side.first.asked / hosts for side in ours),
        ),
        Measure(
            f"sent-{size}",
            what="bytes that the operator's machine sent during the installation, with TCP and SSH",
            peer="what has to come from it: the artifact for every master, the installer for every host",
            unit="MB",
            values=tuple(side.first.sent / MB for side in ours),
            peer_values=(least / MB,),
        ),
        Measure(
            f"memory-operator-{size}",
            what="the installer on the operator's machine: the sum over its processes, highest of samples 0.2 s apart",
            peer="the artifact: memory that grew with it would be near 1",
            unit="MB",
            values=tuple(side.first.operator / MB for side in ours),
            peer_values=(least / MB,),
            max_value=_MAX_MB,
        ),
        Measure(
            f"memory-agent-{size}",
            what="the largest agent on any host (VmHWM) during the installation",
            peer="the same in the second run",
            unit="MB",
            values=tuple(side.first.agent / MB for side in ours),
            peer_values=tuple(side.again.agent / MB for side in ours),
            max_value=_MAX_MB,
        ),
    ]


def _must_be_sent(run: Path, masters: int, hosts: int) -> int:
    with Bundle.open(run) as bundle:
        return masters * bundle.size + hosts * bundle.stub_size


@dataclass(frozen=True)
class Installed:
    """An installation, and the same command once more."""

    first: Watched
    again: Watched
    pods: int


@dataclass(frozen=True)
class Sides:
    """The two ways to install one artifact's application. Each starts a bed, and removes it."""

    bench: Bench
    bed_name: str

    def ours(self, masters: int, nodes: int, number: int) -> Installed:
        """Install, and run the same command again."""
        with self._bed(masters, nodes) as bed:
            work, size = self.bench.work, f"{masters}+{nodes}"
            kubeconfig = work / "kubeconfig"
            kubeconfig.unlink(missing_ok=True)
            command = install_command(self.bench.run, bed, kubeconfig)
            watched = []
            for name in ("install", "again"):
                log = work / f"{name}-{size}-{number}.log"
                watched.append(watch(command, bed, log, work, operators_environment()))
                say(f"{self.bench.run.name}: {name} {size} after {watched[-1].seconds:.1f} s")
            return Installed(watched[0], watched[1], _pods(bed.masters[0]))

    def by_hand(self, masters: int, nodes: int) -> tuple[float, int]:
        """Return seconds and how many pods run."""
        with Bundle.open(self.bench.run) as bundle:
            info, locked = bundle.info, bundle.lock.images
        names = {str(image.reference): image.reference.repository for image in locked}
        pause = next(
            name for name, repository in names.items() if repository.path.rpartition("/")[2] == "pause"
        )
        used = {repository.registry for repository in names.values()}
        work = self.bench.work
        with self._bed(masters, nodes) as bed, registries(self.bench.cache, bed.gateway, used, work) as urls:
            took = ByHand(bed, self._files(), info, pause, urls).install()
            return took, _pods(bed.masters[0])

    def _bed(self, masters: int, nodes: int) -> TestBed:
        return TestBed(masters=masters, nodes=nodes, name=self.bed_name, cache=self.bench.cache)

    def _files(self) -> Path:
        target = self.bench.work / "cluster"
        shutil.rmtree(target, ignore_errors=True)
        command = [str(self.bench.run), "extract", "--files", str(target)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return target


def _pods(master: BlankHost) -> int:
    listed = kubectl(master, "get pods --all-namespaces --no-headers --field-selector=status.phase=Running")
    return len(listed.splitlines())
