"""``build``: a build of the example, its cache warm, against a cluster start, the commands and the same silence by hand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.bench import BED, ROOT, Bench
from tests.bench.installing import Sides
from tests.bench.measure import Measure
from tests.demo.shop import EXAMPLE, shop_command
from tests.testbed.cache import TestBedError
from tests.testbed.docker_engine import engine
from tests.testbed.internet import Internet
from tests.testbed.progress import say

_MAX_RATIO = 1.5
_MAX_RATIO_REHEARSED = 2.5
_MAX_AGAIN = 5
_MANIFEST = Path("manifests") / "namespace.yaml"
_QUIET = 60.0  # seconds: the default of --quiet-period
_TIMEOUT = 3600


def building(bench: Bench) -> list[Measure]:
    """Measure builds: with one manifest changed, the same with its rehearsal, and with nothing changed."""
    engine(bench.cache)
    Internet(bench.cache).up()
    context = Context.of(bench)
    sides = Sides(bench, BED)
    recorded, rehearsed, again, by_hand = [], [], [], []
    for _ in range(bench.repetitions(1)):
        context.change()
        recorded.append(context.build("--skip-rehearsal"))
        took, _pods = sides.by_hand(1, 0)
        by_hand.append(took + _QUIET)
        context.change()
        rehearsed.append(context.build())
        again.append(context.build())
    what = "`airseal build` of examples/shop with one manifest changed, blobs and cluster files in the cache"
    peer = (
        f"by hand (tests/bench/by_hand.py): kubeadm on one new blank host, the application's commands, until everything is ready; and {_QUIET:.0f} s of silence, "
        "which is what the build waits for before it believes that nothing more is pulled"
    )
    return [
        Measure("build", what=f"{what}, without rehearsal", peer=peer, unit="s", values=tuple(recorded), peer_values=tuple(by_hand), max_ratio=_MAX_RATIO),
        Measure(
            "build-rehearsed",
            what=f"{what}, rehearsed on one master and one node without a network",
            peer=peer,
            unit="s",
            values=tuple(rehearsed),
            peer_values=tuple(by_hand),
            max_ratio=_MAX_RATIO_REHEARSED,
            notes=(f"of the last: {context.rehearsal()}",),
        ),
        Measure(
            "build-again",
            what="the same command once more, nothing changed: recording and rehearsal are taken as they were, the file is sealed anew",
            peer="the build before it",
            unit="s",
            values=tuple(again),
            peer_values=tuple(rehearsed),
            max_value=_MAX_AGAIN,
        ),
    ]


@dataclass(frozen=True)
class Context:
    """A copy of the example that is changed between builds."""

    bench: Bench
    directory: Path

    @classmethod
    def of(cls, bench: Bench) -> Context:
        """Return a new copy."""
        directory = bench.work / "shop"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(EXAMPLE, directory)
        return cls(bench, directory)

    def change(self) -> None:
        """Change one manifest: a comment that no build before had."""
        path = self.directory / _MANIFEST
        path.write_text(f"{(EXAMPLE / _MANIFEST).read_text().rstrip()}\n# {time.time_ns()}\n")

    def build(self, *more: str) -> float:
        """Build it; return the seconds. Raises TestBedError."""
        command = [*shop_command(self.bench.cache, self._target, extra=more)[:-1], str(self.directory)]
        began = time.monotonic()
        with self._log.open("wb") as output:
            done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=_TIMEOUT, check=False)
        took = time.monotonic() - began
        if done.returncode:
            raise TestBedError(f"{_shown(command)} ended with {done.returncode}\n" + "\n".join(self._log.read_text(errors="replace").splitlines()[-15:]))
        say(f"{_shown(command)} after {took:.1f} s")
        return took

    def rehearsal(self) -> str:
        """Return what the last build says of its rehearsal."""
        found = re.search(r"^ *(rehearsed on .*)$", self._log.read_text(errors="replace"), re.MULTILINE)
        return found[1] if found else "it says nothing"

    @property
    def _target(self) -> Path:
        return self.bench.work / "built.run"

    @property
    def _log(self) -> Path:
        return self.bench.work / "build.log"


def _shown(command: Sequence[str]) -> str:
    return f"airseal build {' '.join(word for word in command if word.startswith('--skip'))}".strip()
