"""Builds that are stopped in each of their steps: the same command goes on from there, and the file is the same."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundler.build import STEPS
from bundler.cluster.ownership import LABEL, Owner
from bundler.errors import DiskFull, Interrupted
from tests.soak.installer import Ended, Failed, Installer
from tests.soak.moments import Moment, Timeline
from tests.soak.scenario import Desk, Scenario
from tests.testbed.build_command import build_command, made_stub
from tests.testbed.cache import Cache
from tests.testbed.docker_engine import engine
from tests.testbed.internet import Internet
from tests.testbed.part_table import KUBERNETES

_KUBEFILE: Final = "FROM kubernetes:VERSION\nCOPY app.yaml /cluster/manifests/app.yaml\nCMD kubectl apply -f manifests/app.yaml\n"
_APP: Final = """\
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web, namespace: default}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      tolerations: [{operator: Exists}]
      containers: [{name: web, image: "docker.io/library/busybox:1.36", command: [sleep, "100000"]}]
"""
_QUIET: Final = "15"
_CONTENT: Final = re.compile(r"^ +content (sha256:[0-9a-f]{64}),", re.MULTILINE)
_MOST: Final = 1800
_SMALL: Final = "8m"  # of a disk that no artifact fits on
_STOPPED, _DISK_FULL = Interrupted.exit_code, DiskFull.exit_code
_WAYS: Final = (("Ctrl-C", signal.SIGINT, _STOPPED), ("kill -9", signal.SIGKILL, -signal.SIGKILL))


def small_context(directory: Path, kubernetes: str = KUBERNETES) -> Path:
    """Write a Kubefile with one workload below ``directory``, and return where."""
    context = directory / "context"
    context.mkdir(parents=True, exist_ok=True)
    (context / "Kubefile").write_text(_KUBEFILE.replace("VERSION", kubernetes))
    (context / "app.yaml").write_text(_APP)
    return context


@dataclass(frozen=True)
class Builds:
    """Builds of one small application with one cache."""

    desk: Desk
    name: str

    @property
    def output(self) -> Path:
        """The file that they make."""
        return self.desk.directory / f"{self.name}.run"

    @property
    def cache(self) -> Path:
        """Their cache: nothing of any other build is in it."""
        return self.desk.directory / f"cache-{self.name}"

    def forget(self) -> None:
        """Remove what earlier builds left here: a cache of gigabytes, and results that would be taken as they are."""
        shutil.rmtree(self.cache, ignore_errors=True)
        for file in (self.output, self.output.with_name(f".{self.output.name}.part")):
            file.unlink(missing_ok=True)

    def start(self, number: str, output: Path | None = None) -> Installer:
        """Start the command; give it to a ``with``."""
        world = Cache.default()
        context = small_context(self.desk.directory)
        words = build_command(world, "stopped:1.0.0", output or self.output, context, "--quiet-period", _QUIET, *made_stub())
        return Installer(["env", "--default-signal=INT", *words], self.desk.directory / f"{self.name}-{number}.log", {**os.environ, "AIRSEAL_CACHE": str(self.cache)})

    def whole(self, number: str) -> tuple[Ended, Timeline]:
        """Build to the end. Raises Failed."""
        with self.start(number) as build:
            return build.wait(timeout=_MOST).expect(0), build.timeline


def stopped(desk: Desk) -> None:
    """A build is stopped in the middle of every step, by Ctrl-C and by kill -9, and by a full disk: the same command goes on, and the file is the same."""
    engine(Cache.default())
    Internet(Cache.default()).up()
    undisturbed, builds = Builds(desk, "clean"), Builds(desk, "stopped")
    for each in (undisturbed, builds):
        each.forget()
    clean, steps = undisturbed.whole("1")
    desk.figures["undisturbed"] = f"{clean.seconds:.0f} s: {_told(steps)}"
    lost = 0.0
    for number, (title, took) in enumerate(_steps(steps), 1):
        for how, by, code in _WAYS:
            row = f"{number} {how}"
            ended, pid = _stop(builds, Moment(title, took / 2), by, row.replace(" ", "-"))
            lost += ended.seconds
            desk.figures[row] = f"{took / 2:.1f} s into “{title}”{_where(ended, title)}, {ended.seconds:.0f} s after its start: {_judged(builds, ended, code, row, pid)}"
    desk.figures["disk full"] = _on_a_full_disk(builds)
    last, steps = builds.whole("last")
    desk.figures["again"] = f"{last.seconds:.0f} s, after {lost:.0f} s in builds that were stopped: {_told(steps)}"
    if _content(last) != _content(clean):
        raise Failed(f"the content is {_content(last)}, that of an undisturbed build {_content(clean)}")
    again, _ = builds.whole("nothing-changed")
    desk.figures["once more"] = f"{again.seconds:.1f} s"
    for each in (undisturbed, builds):
        each.forget()


def _stop(builds: Builds, moment: Moment, by: int, number: str) -> tuple[Ended, int]:
    """Stop a build at ``moment``, or at once where that step was quicker than in the undisturbed build; return its process's number too."""
    with builds.start(number) as build:
        if not build.until(moment, timeout=_MOST):
            raise Failed(f"{moment} did not come:\n{build.wait(timeout=60).tail}")
        build.signal(by)
        return build.wait(timeout=120), build.pid


def _where(ended: Ended, title: str) -> str:
    """Say where the build really was, where that is a later step: docker and the cache have made the one before quicker."""
    begun = [each for each in STEPS if f"] {each}\n" in ended.said]
    return "" if begun[-1:] == [title] else f" (it was at “{begun[-1]}” by then)"


def _judged(builds: Builds, ended: Ended, code: int, row: str, pid: int) -> str:
    """Say what was left. Raises Failed for what a stop must not leave."""
    if ended.code != code or "Traceback (most recent call last)" in ended.said:
        raise Failed(f"{row}: exit code {ended.code}, wanted {code}:\n{ended.tail}")
    half = builds.output.with_name(f".{builds.output.name}.part")
    if half.exists() and code == _STOPPED:
        raise Failed(f"{row}: {half.name} lies beside the output")
    if builds.output.exists():  # whole: a stop came after it had its name
        done = subprocess.run([str(builds.output), "verify"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"{row}: the output is no whole file: {done.stderr[-500:]}")
        builds.output.unlink()
    left = _left(pid)
    if left and code == _STOPPED:
        raise Failed(f"{row}: left in docker: {' '.join(left)}")
    return f"{len(left)} things left in docker for the next build to remove" if left else "nothing left"


def _on_a_full_disk(builds: Builds) -> str:
    """Build to a disk that is too small. Raises Failed unless it ends with a named error and leaves nothing there."""
    small = builds.desk.directory / "small"
    small.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SMALL}", "tmpfs", str(small)], check=True)
    try:
        with builds.start("disk-full", small / "shop.run") as build:
            ended = build.wait(timeout=_MOST)
        left = [file.name for file in small.iterdir() if file.suffix != ".log"]
    finally:
        subprocess.run(["umount", str(small)], check=True)
    if ended.code != _DISK_FULL or "Traceback (most" in ended.said or left:
        raise Failed(f"a full disk: exit code {ended.code}, left {left}:\n{ended.tail}")
    return f"exit code {ended.code} after {ended.seconds:.0f} s: {ended.said.strip().splitlines()[-1][:200]}"


def _steps(timeline: Timeline) -> list[tuple[str, float]]:
    """Return the steps that a build announced, and how long each took, in seconds."""
    announced = dict(reversed(timeline.phases))  # the first time that a line came
    ends = {title.rpartition(": ")[0]: at for title, at in timeline.phases if ": " in title}
    if missing := [title for title in STEPS if title not in announced or title not in ends]:
        raise Failed(f"the build did not tell how long these took: {', '.join(missing)}")
    return [(title, ends[title] - announced[title]) for title in STEPS]


def _told(timeline: Timeline) -> str:
    return ", ".join(f"{title.lower()} {took:.1f} s" for title, took in _steps(timeline))


def _content(ended: Ended) -> str:
    found = _CONTENT.search(ended.said)
    if not found:
        raise Failed(f"the build did not tell its content's digest:\n{ended.tail}")
    return found[1]


def _left(pid: int) -> list[str]:
    """Return containers and networks in docker that belong to the build that was this process."""
    names: list[str] = []
    for words in (["ps", "-a", "--format", '{{.Names}}\t{{.Label "%s"}}'], ["network", "ls", "--format", '{{.Name}}\t{{.Label "%s"}}']):
        command = ["docker", *(word.replace("%s", LABEL) for word in words), "--filter", f"label={LABEL}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
        rows = (line.partition("\t") for line in done.stdout.splitlines())
        names += [name for name, _, label in rows if (owner := Owner.parse(label)) is not None and owner.pid == pid]
    return names


def scenarios() -> tuple[Scenario, ...]:
    """All of this file."""
    return (Scenario("stopped-builds", 90, stopped),)
