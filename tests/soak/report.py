"""The report: a line for each scenario, and below it what failed and how."""

from __future__ import annotations

from collections.abc import Sequence

from tests.demo.shop import ROOT
from tests.soak.results import newest
from tests.soak.scenario import Result, Scenario

_KNOWN_LIMIT = (
    "A power cut here is `docker kill` and `docker start`: processes, mounts, /run, the network namespace and its rules are gone, and docker "
    "writes /etc/hosts anew. The page cache of the machine stays, so bytes that were written and not synced are not lost."
)


def report(results: Sequence[Result], asked: Sequence[Scenario], *, commit: str, machine: str, when: str) -> str:
    """Return the report in Markdown. ``results``: oldest first; of a scenario the last one counts, and what failed before it is told too."""
    last = newest(results)
    failed = [one for one in last if not one.passed]
    before = [one for one in results if not one.passed and one not in last]
    done = {one.name for one in last}
    open_ = [one.name for one in asked if one.name not in done]
    lines = [
        f"# Soak of {commit}, {when}",
        "",
        f"{len(last) - len(failed)} of {len(last)} scenarios passed; {len(open_)} of {len(asked)} were not run. {machine}",
        "",
        _KNOWN_LIMIT,
        "",
        "| scenario | outcome | s | artifact | what | figures |",
        "|---|---|---|---|---|---|",
        *(f"| {one.name} | {_outcome(one)} | {one.seconds:.0f} | {one.artifact} | {_cell(one.what)} | {_figures(one)} |" for one in last),
    ]
    if open_:
        lines += ["", f"Not run: {', '.join(open_)}."]
    for one in failed:
        lines += ["", f"## {one.name}: {one.outcome}, artifact {one.artifact}", *_said(one, 6000)]
    if before:
        lines += ["", "## Failed before, and run again since"]
    for one in before:
        lines += ["", f"### {one.name}: {one.outcome}, artifact {one.artifact}", *_said(one, 1500)]
    return "\n".join(lines) + "\n"


def _outcome(one: Result) -> str:
    return "passed" if one.passed else f"**{one.outcome}**"


def _said(one: Result, most: int) -> list[str]:
    # Where the project lies on the machine that ran it is nobody's affair.
    return ["", "```", one.said.strip().replace(f"{ROOT}/", "")[:most].replace("```", "'''"), "```"]


def _figures(one: Result) -> str:
    return "; ".join(f"{name}: {_cell(value)}" for name, value in one.figures.items())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:240]
