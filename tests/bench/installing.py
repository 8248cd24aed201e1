"""``install-1+1``, ``install-3+3``: the installer against a hand-written kubeadm script, from blank hosts to all ready."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from installer_stub.bundle.reader import Bundle
from tests.bench.bench import BED, Bench
from tests.bench.by_hand import ByHand, kubectl
from tests.bench.measure import MB, Measure
from tests.bench.pull_sources import registries
from tests.demo.__main__ import install_command, operators_environment
from tests.testbed.cache import TestBedError
from tests.testbed.hosts import BlankHost, TestBed
from tests.testbed.internet import Internet
from tests.testbed.progress import say

_MAX_RATIO = 1.5
_TIMEOUT = 1800


def install_small(bench: Bench) -> list[Measure]:
    """One master, one node."""
    return [_measure(bench, masters=1, nodes=1, least=2)]


def install_large(bench: Bench) -> list[Measure]:
    """Three masters, three nodes."""
    return [_measure(bench, masters=3, nodes=3, least=1)]


def _measure(bench: Bench, *, masters: int, nodes: int, least: int) -> Measure:
    Internet(bench.cache).up()
    sides = Sides(bench, BED)
    ours, peer = [], []
    for number in range(bench.repetitions(least)):
        ours.append(sides.ours(masters, nodes, number + 1))
        peer.append(sides.by_hand(masters, nodes))
    pods, peer_pods = ours[-1][1], peer[-1][1]
    run = bench.run
    return Measure(
        f"install-{masters}+{nodes}",
        what=f"`./{run.name} --master … --node …` ({run.stat().st_size / MB:.0f} MB) until it returns: {masters} master(s), {nodes} node(s), all settled and accepted",
        peer="a hand-written kubeadm script (tests/bench/by_hand.py): the same binaries and commands, images from plain-HTTP distribution registries on this machine, until every workload is ready",
        unit="s",
        values=tuple(took for took, _ in ours),
        peer_values=tuple(took for took, _ in peer),
        max_ratio=_MAX_RATIO,
        notes=(
            "both on new blank hosts of the same kind, in turns; the clock starts when they are up",
            f"pods running at the end: {pods} ours, {peer_pods} by hand",
            "only ours keeps the images inside the site (the artifact on every master, a TLS registry), checks hosts first, journals, looks twice before it says done, and checks where every image came from; by hand, all masters and nodes depend on the first master's address",
        ),
    )


@dataclass(frozen=True)
class Sides:
    """The two ways to install one artifact's application. Each starts a bed, and removes it."""

    bench: Bench
    bed_name: str

    def ours(self, masters: int, nodes: int, number: int) -> tuple[float, int]:
        """Return seconds and how many pods run."""
        with self._bed(masters, nodes) as bed:
            kubeconfig = self.bench.work / "kubeconfig"
            kubeconfig.unlink(missing_ok=True)
            log = self.bench.work / f"install-{masters}+{nodes}-{number}.log"
            command = install_command(self.bench.run, bed, kubeconfig)
            began = time.monotonic()
            with log.open("wb") as output:
                done = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=operators_environment(),
                    cwd=self.bench.work,
                    timeout=_TIMEOUT,
                    check=False,
                )
            took = time.monotonic() - began
            if done.returncode:
                end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                raise TestBedError(f"the installation ended with {done.returncode}, log {log}\n{end}")
            say(f"{self.bench.run.name}: {masters}+{nodes} after {took:.1f} s")
            return took, _pods(bed.masters[0])

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
