"""``airseal build`` as a release engineer types it, against the internet of our own."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.testbed.cache import Cache


def build_command(cache: Cache, title: str, output: Path, context: Path, *more: str, mirrors: Path | None = None) -> list[str]:
    """Return the words that build ``context`` as ``title`` to ``output``; ``more`` are further options, ``mirrors`` another file of them."""
    pinned = ("--pins", str(cache.pins), "--accept-publisher-checksums")  # of the real sites, nobody has pinned all
    world = (*pinned, "--mirrors", str(mirrors or cache.mirrors), "--docker-config", str(cache.docker_config))
    return [sys.executable, "-m", "bundler", "build", "-t", title, "-o", str(output), *world, *more, str(context)]
