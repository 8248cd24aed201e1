"""Answers of real hosts (debian-*) and of hosts written by hand after real ones (rhel-9, ubuntu-22.04)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from installer_stub.facts.gather import HostFacts, parse

DIRECTORY = Path(__file__).parents[3] / "fixtures" / "facts"
NAMES = tuple(sorted(path.stem for path in DIRECTORY.glob("*.json")))
CLOCK = 1795443700.0  # when the hosts written by hand were asked


def answers(name: str) -> dict[str, str]:
    recorded = json.loads((DIRECTORY / f"{name}.json").read_text())
    return {fact: "".join(f"{line}\n" for line in lines) for fact, lines in recorded.items()}


def stdout(given: Mapping[str, str]) -> str:
    return "".join(f"\x1e{fact}\n{answer}" for fact, answer in given.items()) + "\x1eend\n"


def facts(name: str, **replaced: str) -> HostFacts:
    given = {**answers(name), **{fact.replace("_", "-"): answer for fact, answer in replaced.items()}}
    return parse(stdout(given), asked=CLOCK - 0.5, answered=CLOCK + 0.5)
