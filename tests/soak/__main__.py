"""``make soak``: scenarios side by side, for so many minutes, and a report. What has passed is not run again."""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from tests.demo.shop import ROOT
from tests.soak.lanes import run_lanes, run_one
from tests.soak.report import report
from tests.soak.results import all_results, newest, write_result
from tests.soak.scenario import Desk, Result, Scenario
from tests.soak.table import ALL, chosen

OUTPUT = ROOT / "build" / "soak"


def main() -> int:
    """Run what was asked for; 0: all of it passed."""
    options = _parser().parse_args()
    scenarios = chosen(options.only)
    if options.list:
        print("\n".join(f"{one.name:34} {one.minutes:3.0f} min  {one.what}" for one in scenarios))
        return 0
    run = options.run.resolve()
    key = _key(run)
    into = (options.into or OUTPUT / key).resolve()
    if options.one:
        return _one(options, run, into)
    passed = {one.name for one in newest(all_results([into])) if one.passed and not options.again}
    todo = [one for one in scenarios if one.name not in passed]
    results: list[Result] = []

    def note(result: Result) -> None:
        results.append(result)
        print(f"{result.outcome:7} {result.name:34} {result.seconds:5.0f} s  {'; '.join(f'{k}: {v}' for k, v in result.figures.items())}", flush=True)
        if not result.passed:
            print("        " + "\n        ".join(result.said.splitlines()[:12]), flush=True)
        _write(scenarios, into, options.report)

    print(f"{len(todo)} scenario(s) to run, {len(scenarios) - len(todo)} have passed before; logs below {into}", flush=True)

    def command(name: str, bed: str) -> list[str]:
        here = [sys.executable, "-m", "tests.soak", "--one", name, "--bed", bed, "--run", str(run), "--into", str(into)]
        return [*shlex.split(options.under), *here, "--patience", str(options.patience)]

    until = time.monotonic() + 60 * options.minutes
    run_lanes(todo, lanes=options.lanes, first=options.first_bed, until=until, command=command, into=into, done=note)
    print(f"report: {_write(scenarios, into, options.report)}")
    return 0 if all(one.passed for one in results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="scenarios by name, * and ? allowed; can be repeated")
    parser.add_argument("--list", action="store_true", help="say what there is, and stop")
    parser.add_argument("--minutes", type=float, default=240, help="begin no further scenario after so long (default: 240)")
    parser.add_argument("--lanes", type=int, default=2, help="how many at a time (default: 2)")
    parser.add_argument("--first-bed", type=int, default=1, metavar="N", help="number of the first lane's bed, when another soak runs beside this one")
    parser.add_argument("--patience", type=float, default=1, metavar="N", help="give each scenario N times its minutes, on a machine that does other things too")
    parser.add_argument("--again", action="store_true", help="run also what has passed with this artifact")
    parser.add_argument("--run", type=Path, default=ROOT / "build" / "cluster-tests" / "shop.run", metavar="FILE", help="the example's artifact")
    parser.add_argument("--report", type=Path, metavar="FILE", help="default: docs/evidence/soak-DATE-COMMIT.md")
    parser.add_argument("--into", type=Path, metavar="DIR", help="logs and results (default: below build/soak)")
    parser.add_argument("--under", default="", metavar="COMMAND", help="words before each scenario's command: flock, nice, systemd-run …")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--bed", default="soak-1", help=argparse.SUPPRESS)
    return parser


def _one(options: argparse.Namespace, run: Path, into: Path) -> int:
    (scenario,) = (one for one in ALL if one.name == options.one)
    desk = Desk(run, into / scenario.name, into, options.bed)
    result = run_one(scenario, desk, options.patience)
    write_result(desk.directory / "result.json", result)
    print(result.outcome, result.said)
    return 0 if result.passed else 1


def _write(asked: tuple[Scenario, ...], into: Path, target: Path | None) -> Path:
    """Write the report of all that has been run, with this artifact and with others beside it."""
    commit, today = _commit(), dt.datetime.now(dt.UTC).date().isoformat()
    path = target or ROOT / "docs" / "evidence" / f"soak-{today}-{commit}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = f"Machine: {os.cpu_count()} cores, Linux {os.uname().release}."
    text = report(all_results(into.parent.iterdir()), asked, commit=commit, machine=machine, when=today)
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.rename(path)
    return path


def _key(run: Path) -> str:
    with run.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _commit() -> str:
    shown = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=8"], cwd=ROOT, capture_output=True, text=True, check=False)
    return shown.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
