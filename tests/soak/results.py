"""Results as files: one for each time that a scenario was run, whole or not at all; the newest is what the scenario says now."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from tests.soak.scenario import Result

_NAME = "result.json"


def write_result(path: Path, result: Result) -> None:
    """Write a result down, whole or not at all."""
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(result), indent=1))
    temporary.rename(path)


def read_result(path: Path) -> Result:
    """Return what ``write_result`` wrote."""
    return Result(**json.loads(path.read_text()))


def set_aside(path: Path) -> None:
    """Keep the result of an earlier run under another name: what failed once is told, also when it passes later."""
    if path.exists():
        path.rename(path.with_name(f"result-{path.stat().st_mtime_ns}.json"))


def all_results(directories: Iterable[Path]) -> list[Result]:
    """Return every result below directories of scenarios, oldest first."""
    files = [file for directory in directories for file in directory.glob("*/result*.json")]
    return sorted((read_result(file) for file in files), key=lambda one: one.ended)


def newest(results: Iterable[Result]) -> list[Result]:
    """Return the last result of each scenario, in the order in which they ended."""
    last = {one.name: one for one in results}
    return sorted(last.values(), key=lambda one: one.ended)
