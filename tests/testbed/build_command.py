"""``airseal build`` as a release engineer types it, against the internet of our own."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from bundler.options import cache_directory
from bundler.pack.stubs import stub_for
from registry_snapshot.oci.descriptor import Platform
from tests.testbed.cache import Cache


def build_command(cache: Cache, title: str, output: Path, context: Path, *more: str, mirrors: Path | None = None) -> list[str]:
    """Return the words that build ``context`` as ``title`` to ``output``; ``more`` are further options, ``mirrors`` another file of them."""
    pinned = ("--pins", str(cache.pins), "--accept-publisher-checksums")  # of the real sites, nobody has pinned all
    world = (*pinned, "--mirrors", str(mirrors or cache.mirrors), "--docker-config", str(cache.docker_config))
    return [sys.executable, "-m", "bundler", "build", "-t", title, "-o", str(output), *world, *more, str(context)]


def made_stub() -> tuple[str, str]:
    """Return the words that a build with a cache of its own needs: the installer lies where ``make stub`` put it. Raises StubMissing."""
    runtime = stub_for([str(Platform.of_machine(platform.machine()))], cache_directory(None))
    return "--stub", str(runtime.bootloader.parent)
