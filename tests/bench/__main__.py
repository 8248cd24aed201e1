"""``make bench``: measure, print, and write docs/benchmarks.json and docs/benchmarks.md. Nothing fails for being slow."""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tests.bench.bench import ROOT, Bench
from tests.bench.building import building
from tests.bench.installing import install_large, install_small
from tests.bench.machine import describe, load
from tests.bench.measure import Measure
from tests.bench.memory import memory_build, memory_install, memory_serve
from tests.bench.recording import recording
from tests.bench.sealing import sealing
from tests.bench.serving import NAMES, serving
from tests.bench.sizes import size
from tests.bench.start import start
from tests.bench.table import from_json, merged, render, row_text, to_json
from tests.bench.travelling import NAMES as TRAVEL
from tests.bench.travelling import travelling
from tests.demo.shop import run_shown, shop_command
from tests.testbed.cache import Cache, TestBedError, write_whole
from tests.testbed.docker_engine import engine
from tests.testbed.internet import Internet
from tests.testbed.progress import step

MEASURES: Mapping[str, Callable[[Bench], list[Measure]]] = MappingProxyType(
    {
        "start": start,
        "size": size,
        "seal": sealing,
        "build": building,
        "install-1+1": install_small,
        "install-3+3": install_large,
        "memory-build": memory_build,
        "memory-install": memory_install,
        "memory-serve": memory_serve,
        "record": recording,
        "serve": serving,
        "push": travelling,
    }
)
_RECORD = ("record-cold", "record-cold-20ms", "record-warm-20ms", "record-once", "record-memory")
_COSTS = ("again", "again-changes", "round-trips", "sent", "memory-operator", "memory-agent")
_INSTALL = [f"{name}-{size}" for size in ("1+1", "3+3") for name in ("install", *_COSTS)]
_BUILD = ("build", "build-rehearsed", "build-again")
_MEMORY = tuple(name for name in MEASURES if name.startswith("memory-"))
_ORDER = ("start", "start-4GiB", "size", "size-plain", "seal", *_BUILD, *_INSTALL, *_MEMORY, *_RECORD, *NAMES, *TRAVEL)
_RUN = ROOT / "dist" / "shop.run"
_WORK = ROOT / "build" / "bench"
_RESULT = ROOT / "docs" / "benchmarks.json"
_PAGE = ROOT / "docs" / "benchmarks.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; 1 when something could not be measured."""
    options = _parser().parse_args(arguments)
    try:
        return _bench(options.run, options.only, options.repetitions)
    except TestBedError as error:
        print(f"bench: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("bench: interrupted; what was measured is written", file=sys.stderr)
        return 130
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", type=_names, metavar="NAME,…", help=f"some of: {', '.join(MEASURES)}")
    parser.add_argument(
        "--repetitions",
        type=int,
        default=1,
        metavar="N",
        help="at least so many of each; some need more to mean anything",
    )
    parser.add_argument(
        "--run",
        type=Path,
        default=None,
        metavar="FILE",
        help="the artifact (default: dist/shop.run, built if it is not there)",
    )
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in MEASURES]:
        raise argparse.ArgumentTypeError(
            f"no measure is called {', '.join(unknown)}; there are: {', '.join(MEASURES)}"
        )
    return [name for name in MEASURES if name in names]


def _bench(run: Path | None, only: Sequence[str] | None, repetitions: int) -> int:
    machine = describe(ROOT)
    cache = Cache.default()
    _WORK.mkdir(parents=True, exist_ok=True)
    bench = Bench(_artifact(run, cache), _WORK, cache, repetitions)
    kept, failed = _kept(), []
    for name in only or MEASURES:
        before = load()
        try:
            with step(f"measuring {name}"):
                found = [dataclasses.replace(measure, load=before, machine=machine) for measure in MEASURES[name](bench)]
        except Exception:  # noqa: BLE001 - one that cannot be measured must not cost the others
            traceback.print_exc()
            failed.append(name)
            continue
        for measure in found:
            print(row_text(measure), flush=True)
        kept = merged(kept, found, _ORDER)
        write_whole(_RESULT, to_json(kept))
        write_whole(_PAGE, render(kept))
    print(f"figures: {_RESULT.relative_to(ROOT)}, table: {_PAGE.relative_to(ROOT)}")
    if failed:
        print(f"bench: could not be measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _artifact(run: Path | None, cache: Cache) -> Path:
    """Return the artifact to measure. Without one, the shop is built as the demo does."""
    if run is not None:
        if not run.is_file():
            raise TestBedError(f"there is no {run}; make demo leaves dist/shop.run")
        return run.resolve()
    if not _RUN.is_file():
        engine(cache)
        Internet(cache).up()
        _RUN.parent.mkdir(exist_ok=True)
        try:
            run_shown(shop_command(cache, _RUN))
        except subprocess.CalledProcessError as error:
            raise TestBedError(f"the build that gives dist/shop.run ended with {error.returncode}") from error
    return _RUN


def _kept() -> tuple[Measure, ...]:
    """Return what earlier runs measured: one measure can be taken again alone, and one that fails now keeps its figures."""
    try:
        return from_json(_RESULT.read_text())
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return ()


if __name__ == "__main__":
    sys.exit(main())
