"""All scenarios: those that a person is likeliest to meet come first, the long rows of moments last."""

from __future__ import annotations

from fnmatch import fnmatchcase

from tests.soak import (
    builds,
    certificates,
    clean,
    engines,
    habits,
    interruptions,
    masters_off,
    mistakes,
    rehearsals,
    resets,
    restarts,
    signs,
    torn,
    versions,
)
from tests.soak.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    *clean.scenarios(),
    *restarts.scenarios(),
    *mistakes.scenarios(),
    *resets.scenarios(),
    *rehearsals.scenarios(),
    *habits.scenarios(),
    *masters_off.scenarios(),
    *torn.scenarios(),
    *certificates.scenarios(),
    *engines.scenarios(),
    *builds.scenarios(),
    *versions.scenarios(),
    *signs.scenarios(),
    *interruptions.scenarios(),
)
ALL = (*SCENARIOS, *interruptions.singles())


def chosen(patterns: list[str]) -> tuple[Scenario, ...]:
    """Return those whose name fits one of the patterns; without a pattern all but the moments alone, which stand in rows too."""
    if not patterns:
        return SCENARIOS
    return tuple(one for one in ALL if any(fnmatchcase(one.name, pattern) for pattern in patterns))
