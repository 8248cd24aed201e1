"""Scenarios of builds whose docker engine is elsewhere."""

from __future__ import annotations

import functools
import os
import subprocess

from tests.soak.builds import small_context
from tests.soak.installer import Failed
from tests.soak.scenario import Desk, Scenario
from tests.testbed.build_command import build_command, made_stub
from tests.testbed.cache import Cache
from tests.testbed.internet import Internet
from tests.testbed.remote_engine import Kind, remote_engine


def scenarios() -> tuple[Scenario, ...]:
    """All of this file."""
    return (Scenario("remote-engine", 30, remote), Scenario("remote-engine-containerd", 30, functools.partial(remote, kind=Kind.CONTAINERD)))


def remote(desk: Desk, kind: Kind = Kind.BOOKWORM) -> None:
    """A build through tcp://…:2376 with TLS: recorded by a relay, rehearsed there, and nothing is left in that engine."""
    cache = Cache.default()
    Internet(cache).up()
    with remote_engine(cache, desk.directory / "certs", kind) as environment:
        given = {**os.environ, **environment, "AIRSEAL_CACHE": str(desk.directory / "cache")}
        context = small_context(desk.directory)
        words = build_command(cache, "elsewhere:1.0.0", desk.directory / "elsewhere.run", context, "--quiet-period", "15", *made_stub())
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=given)
        (desk.directory / "build.log").write_text(done.stdout + done.stderr)
        if done.returncode or "a relay in the lab" not in done.stdout + done.stderr:
            raise Failed(f"exit code {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
        left = subprocess.run(["docker", "ps", "-aq"], capture_output=True, text=True, check=True, env=given).stdout.split()
        if left:
            raise Failed(f"{len(left)} containers are left in the engine")
