"""Writes the traces in tests/fixtures/traces anew: ``python -m tests.clients.record [CLIENT…]``. Needs root."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.clients.matrix import NAMES, PARTS, client_named
from tests.clients.runs import Runs
from tests.clients.trace import DIRECTORY
from tests.testbed.cache import Cache
from tests.testbed.docker_engine import engine, require_packages
from tests.testbed.parts import Parts
from tests.testbed.progress import say


def main(names: list[str]) -> int:
    """Run the named clients, or all, and write what they sent to the proxy."""
    cache = Cache.default()
    require_packages(cache)
    engine(cache)
    parts = Parts(cache)
    parts.build_all(only=PARTS)
    with tempfile.TemporaryDirectory(prefix="airseal-") as directory, Runs(cache, Path(directory)) as runs:
        for name in names or NAMES:
            traces = runs.of(name).traces()
            for stale in DIRECTORY.glob(f"{name}-*.json"):
                if stale.stem.removeprefix(f"{name}-") in client_named(name, parts).manners.scenarios:
                    stale.unlink()
            for trace in traces:
                trace.write()
            say(f"{name}: {len(traces)} traces")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
