"""What a run leaves behind: ``docs/benchmarks.json``, and the table in ``docs/benchmarks.md``. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from string import ascii_uppercase

from tests.bench.measure import Measure

_TITLE = """\
# Benchmarks

Made by `make bench`; do not edit. Each measure alternates with its peer in one run on one machine, so the ratio is what
counts: seconds differ from machine to machine. Figures are medians, in brackets lowest and highest. Times that
were taken while the load average was not near zero are of little use: take them again, `python -m tests.bench --only NAME`.
"""


def to_json(measures: Iterable[Measure]) -> str:
    return json.dumps([measure.to_json() for measure in measures], indent=2, ensure_ascii=False) + "\n"


def from_json(text: str) -> tuple[Measure, ...]:
    """Return the measures that ``to_json`` wrote."""
    return tuple(Measure.from_json(value) for value in json.loads(text))


def merged(before: Iterable[Measure], now: Iterable[Measure], order: Sequence[str]) -> tuple[Measure, ...]:
    """Return the newest of each measure, in ``order``; names that ``order`` does not have come last."""
    found = {measure.name: measure for measure in (*before, *now)}
    position = {name: index for index, name in enumerate(order)}
    return tuple(
        sorted(found.values(), key=lambda measure: (position.get(measure.name, len(order)), measure.name))
    )


def render(measures: Sequence[Measure]) -> str:
    """Return the whole page: the machines, the table, and what each line means."""
    machines = dict.fromkeys(measure.machine for measure in measures if measure.machine)
    letters = dict(zip(machines, ascii_uppercase, strict=False))
    head = [
        "| Measure | Ours | Peer | Ratio | Goal | |",
        "|---|---|---|---|---|---|",
    ]
    lines = [_TITLE, *(f"- machine {letter}: {machine}" for machine, letter in letters.items()), "", *head, *map(_row, measures), ""]
    missed = [measure.name for measure in measures if not measure.is_met]
    lines += [f"Missed: {', '.join(missed)}.", ""] if missed else []
    lines += ["## What was measured", ""]
    for measure in measures:
        lines += _explained(measure, letters)
    return "\n".join(lines).rstrip() + "\n"


def row_text(measure: Measure) -> str:
    """Return one line for the terminal."""
    ours, peer = _figure(measure.values, measure.unit), _figure(measure.peer_values, measure.unit)
    goal = f", goal {measure.goal}: {'met' if measure.is_met else 'MISSED'}" if measure.goal else ""
    return f"{measure.name}: {ours} against {peer}, ratio {measure.ratio:.3f}{goal}"


def _row(measure: Measure) -> str:
    verdict = "" if not measure.goal else "met" if measure.is_met else "**missed**"
    cells = [
        f"`{measure.name}`",
        _figure(measure.values, measure.unit),
        _figure(measure.peer_values, measure.unit),
        f"{measure.ratio:.3f}",
        measure.goal.replace("<=", "≤") or "-",
        verdict,
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _figure(values: Sequence[float], unit: str) -> str:
    shown = Measure("", "", "", unit, tuple(values), (1,)).value
    spread = f" ({_number(min(values))} to {_number(max(values))})" if len(values) > 1 else ""
    return f"{_number(shown)} {unit}{spread}"


def _number(value: float) -> str:
    """Three significant digits, and never an exponent."""
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    return f"{value:.{digits}f}"


def _explained(measure: Measure, letters: Mapping[str, str]) -> list[str]:
    count = (
        len(measure.values)
        if len(measure.values) == len(measure.peer_values)
        else f"{len(measure.values)} and {len(measure.peer_values)}"
    )
    where = f" on {letters[measure.machine]}" if measure.machine in letters else ""
    head = f"**`{measure.name}`**, measured {measure.measured}{where}, repetitions: {count}, load average before: {measure.load:.1f}"
    lines = [head, ""]
    lines += [
        f"- ours: {measure.what}",
        f"- peer: {measure.peer}",
        *(f"- {note}" for note in measure.notes),
        "",
    ]
    return lines
