"""An operator at a bed: types verbs of one file, and asks its hosts what became of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.cluster.conftest import OUTPUT
from tests.demo.__main__ import operators_environment
from tests.testbed.blank_host import BlankHost
from tests.testbed.hosts import TestBed

RECORD = "/var/lib/airseal/site.json"


class Operator:
    """Types verbs of one file against one bed, in a directory of that bed's own: modules run side by side."""

    def __init__(self, run: Path, bed: TestBed) -> None:
        self.bed, self._run = bed, run
        self.directory = OUTPUT / bed.name
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()

    def types(self, verb: str, *words: str, expect: int = 0) -> str:
        """Run a verb; return all that it said. The exit code must be ``expect``."""
        login = ["--identity", str(self.bed.ssh_key), "--known-hosts", str(self.bed.known_hosts), "--yes"]
        if verb in {"install", "join", "apply", "plan", "check"}:
            login += ["--kubeconfig", str(self.directory / "kubeconfig")]
        done = subprocess.run(
            [str(self._run), verb, *words, *login],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            env=operators_environment(),
            cwd=self.directory,
        )
        with (self.directory / "said.log").open("a") as log:
            log.write(f"$ {verb} {' '.join(words)}\n{done.stdout}{done.stderr}\n-> {done.returncode}\n")
        assert done.returncode == expect, f"{verb}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def asks(self, verb: str, *words: str, expect: int = 0) -> dict[str, object]:
        """Run a verb with --json; return its last event."""
        lines = self.types(verb, *words, "--json", expect=expect).splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        found: dict[str, object] = next(event for event in reversed(events) if event["event"] == "done")
        return found


def epoch(host: BlankHost) -> int:
    return int(json.loads(host.run(f"cat {RECORD}").stdout)["epoch"])


def started(host: BlankHost) -> str:
    """Return when what we start was started last: a run that changes nothing starts nothing."""
    units = "containerd.service kubelet.service airseal-registry.service airseal-host.service"
    return host.run(f"systemctl show --property=ActiveEnterTimestampMonotonic {units} 2>/dev/null || true").stdout


def as_it_must_stay(host: BlankHost) -> bool:
    """Tell whether the host itself finds nothing of what it has to keep changed."""
    return host.run("/opt/airseal/bin/airseal host keep --check", check=False).returncode == 0
