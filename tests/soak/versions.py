"""Applications on the other versions of Kubernetes that there are bases for: recorded, sealed and rehearsed like any other."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from typing import Final

from tests.soak.builds import small_context
from tests.soak.installer import Failed
from tests.soak.scenario import Desk, Scenario
from tests.testbed.build_command import build_command, made_stub
from tests.testbed.cache import Cache
from tests.testbed.docker_engine import engine
from tests.testbed.internet import Internet

VERSIONS: Final = ("v1.35.4", "v1.36.1", "v1.37.2")


def built_on(desk: Desk, *, version: str) -> None:
    """A build on another version of Kubernetes, whose programs are its own: the finished file installs itself on a master and a node."""
    cache = Cache.default()
    engine(cache)
    internet = Internet(cache)
    internet.up()
    internet.serve_also(version)
    run = desk.directory / "other.run"
    words = build_command(cache, "other:1.0.0", run, small_context(desk.directory, version), "--quiet-period", "15", *made_stub())
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "AIRSEAL_CACHE": str(desk.directory / "cache")})
    (desk.directory / "build.log").write_text(done.stdout + done.stderr)
    if done.returncode:
        raise Failed(f"exit code {done.returncode}: {(done.stdout + done.stderr)[-3000:]}")
    asked = subprocess.run([str(run), "inspect", "--json"], capture_output=True, text=True, check=True).stdout
    found = json.loads(asked)
    if found["kubernetes"] != version or not found["rehearsal"]:
        raise Failed(f"the file has Kubernetes {found['kubernetes']}, rehearsed: {bool(found['rehearsal'])}; {version} was asked for")
    images = subprocess.run([str(run), "images"], capture_output=True, text=True, check=True).stdout
    desk.figures["control plane"] = " ".join(sorted({word for word in images.split() if word.startswith("registry.k8s.io/")}))


def scenarios() -> tuple[Scenario, ...]:
    """One for each version. Its programs are compiled once, which takes six minutes on two cores."""
    return tuple(Scenario(f"kubernetes-{version}", 30, functools.partial(built_on, version=version)) for version in VERSIONS)
