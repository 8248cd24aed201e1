"""The report: a line for each scenario, and below it what failed and how."""

from __future__ import annotations

from collections.abc import Sequence

from tests.soak.scenario import Result, Scenario

_KNOWN_LIMIT = (
    "A power cut here is `docker kill` and `docker start`: processes, mounts, /run, the network namespace and its rules are gone, and docker "
    "writes /etc/hosts anew. The page cache of the machine stays, so bytes that were written and not synced are not lost."
)


def report(results: Sequence[Result], asked: Sequence[Scenario], *, commit: str, artifact: str, machine: str, when: str) -> str:
    """Return the report in Markdown."""
    failed = [one for one in results if not one.passed]
    done = {one.name for one in results}
    open_ = [one.name for one in asked if one.name not in done]
    lines = [
        f"# Soak of {commit}, {when}",
        "",
        f"{len(results) - len(failed)} of {len(results)} scenarios passed; {len(open_)} of {len(asked)} were not run. Artifact: {artifact}. {machine}",
        "",
        _KNOWN_LIMIT,
        "",
        "| scenario | outcome | s | what | figures |",
        "|---|---|---|---|---|",
        *(f"| {one.name} | {'passed' if one.passed else f'**{one.outcome}**'} | {one.seconds:.0f} | {_cell(one.what)} | {_figures(one)} |" for one in results),
    ]
    if open_:
        lines += ["", f"Not run: {', '.join(open_)}."]
    for one in failed:
        lines += ["", f"## {one.name}: {one.outcome}", "", "```", one.said.strip()[:6000].replace("```", "'''"), "```"]
    return "\n".join(lines) + "\n"


def _figures(one: Result) -> str:
    return "; ".join(f"{name}: {_cell(value)}" for name, value in one.figures.items())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:240]
