"""A clean installation, twice: what the comparer calls the same. And the same command again: nothing changes."""

from __future__ import annotations

import functools

from tests.soak.facts import differences
from tests.soak.scenario import Desk, Scenario, must_be_none


def clean(desk: Desk, *, masters: int, nodes: int) -> None:
    """Two clean installations are the same to the comparer, and a second run on one of them changes nothing."""
    _, timeline = desk.clean(masters, nodes)
    desk.figures["first"] = f"{timeline.end:.0f} s, {len(timeline.phases)} phases"
    with desk.trial(masters, nodes) as trial:
        desk.figures["second"] = f"{trial.install().expect(0).seconds:.0f} s"
        desk.must_equal_clean(trial)
        before = trial.state()
        desk.figures["again"] = f"{trial.install().expect(0).seconds:.0f} s"
        must_be_none(differences(before, trial.state()), "the same command again changed something")


def scenarios() -> tuple[Scenario, ...]:
    """Return them."""
    return tuple(
        Scenario(f"clean-{masters}+{nodes}", 20, functools.partial(clean, masters=masters, nodes=nodes)) for masters, nodes in ((1, 1), (3, 1))
    )
