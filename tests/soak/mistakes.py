"""Mistakes of the people at the keyboard: two at once, an option forgotten, a master left out, a name taken."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable

from tests.demo.shop import order_something
from tests.soak.cluster_state import Alive, answering, kubectl
from tests.soak.facts import differences
from tests.soak.installer import Ended, Failed
from tests.soak.scenario import Desk, Scenario, Trial, must_be_none

OTHER_SERVICES = "10.200.0.0/16"


def two_installers(desk: Desk) -> None:
    """Two people start the installation of the same hosts in the same second: one goes on, the other is told who."""
    desk.clean(1, 1)
    with desk.trial(1, 1) as trial:
        with trial.start() as one, trial.start() as other:
            ends = (one.wait(), other.wait())
        codes = sorted(ended.code for ended in ends)
        desk.figures["exit codes"] = " and ".join(map(str, codes))
        if any("Traceback (most recent call last)" in ended.said for ended in ends):
            raise Failed("\n".join(ended.tail for ended in ends))
        if 0 not in codes:
            raise Failed("neither of two installers came to an end:\n" + "\n--\n".join(ended.tail for ended in ends))
        desk.figures["the other"] = _last_line(ends[0] if ends[0].code else ends[1])
        trial.install().expect(0)
        desk.must_equal_clean(trial)


def option_forgotten(desk: Desk) -> None:
    """Networks were chosen at the first installation and are forgotten at the next one: nothing that worked changes."""
    with desk.trial(1, 1) as trial:
        trial.install("--service-cidr", OTHER_SERVICES).expect(0)
        _unchanged_by(desk, trial, "forgotten", trial.install)


def master_left_out(desk: Desk) -> None:
    """One master of three is named, the others are not: no host forgets the others, no member is lost."""
    with desk.trial(3, 1) as trial:
        trial.install().expect(0)
        for host in trial.bed.hosts:
            _unchanged_by(desk, trial, f"without {host.name}", functools.partial(trial.install, without=(host.name,)))


def name_taken(desk: Desk) -> None:
    """A new host has the name of a live node, as clones of one template have: it is refused, and the node lives on."""
    with desk.trial(1, 2) as trial:
        taken = trial.bed.nodes[1]
        trial.install(without=("n2",)).expect(0)
        before = Alive.of(trial.bed, without=("n2",))
        taken.run("hostname n1; echo n1 > /etc/hostname")
        ended = trial.install()
        desk.figures["said"] = _last_line(ended)
        if ended.code == 0:
            raise Failed(f"a second host called n1 was taken in:\n{ended.tail}")
        must_be_none(before.harmed(Alive.of(trial.bed, without=("n2",))), "the live node was harmed")
        taken.run("hostname n2; echo n2 > /etc/hostname")
        trial.install().expect(0)
        must_be_none([] if len(kubectl(trial.bed.masters[0], "get nodes")["items"]) == 3 else ["n2 did not join"], "under its own name")


def _unchanged_by(desk: Desk, trial: Trial, figure: str, act: Callable[[], Ended]) -> None:
    """Run ``act``; whatever it answers, hosts and cluster are as before, and the application answers."""
    before, alive = trial.state(), Alive.of(trial.bed)
    ended = act()
    desk.figures[figure] = f"exit code {ended.code}: {_last_line(ended)}"
    if ended.code not in {0, 2, 4, 5, 6, 7, 8, 10} or "Traceback (most recent call last)" in ended.said:
        raise Failed(f"{figure}: exit code {ended.code}\n{ended.tail}")
    must_be_none(alive.harmed(Alive.of(trial.bed)), f"{figure}: harmed")
    must_be_none(differences(before, trial.state()), f"{figure} changed the site (exit code {ended.code})")
    order = order_something(answering(trial.bed), trial.bed.nodes[0])
    if order.shown != order.placed:
        raise Failed(f"{figure}: the application answers {json.dumps(order.shown)} to {json.dumps(order.placed)}")


def _last_line(ended: Ended) -> str:
    lines = [line for line in ended.said.splitlines() if line.strip()]
    said = next((line for line in lines if line.startswith("error")), lines[-1] if lines else "")
    return said.strip()[:200]


def scenarios() -> tuple[Scenario, ...]:
    """Return them."""
    return (
        Scenario("two-installers", 20, two_installers),
        Scenario("option-forgotten", 15, option_forgotten),
        Scenario("master-left-out", 25, master_left_out),
        Scenario("name-taken", 15, name_taken),
    )
