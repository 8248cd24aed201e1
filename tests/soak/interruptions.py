"""kill -9 of the installer and power cuts of hosts, at moments that the installer itself announces; then the same command."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

from tests.soak.installer import Failed, Installer
from tests.soak.moments import Moment
from tests.soak.scenario import Desk, Scenario, Trial
from tests.testbed.hosts import BlankHost

KILLS, CUTS = 20, 10  # of each topology
TOPOLOGIES = ((1, 1), (3, 1))
_SEED = 7


def kill(desk: Desk, *, masters: int, nodes: int, number: int) -> None:
    """kill -9 of the installer at a moment of its own plan, then the same command: as after a clean installation."""
    _, timeline = desk.clean(masters, nodes)
    moment = timeline.moments(KILLS, _SEED)[number]
    desk.figures["moment"] = str(moment)
    with desk.trial(masters, nodes) as trial:
        with at(trial, moment, desk) as installer:
            installer.kill()
        finish(desk, trial)


def kill_chain(desk: Desk, *, masters: int, nodes: int) -> None:
    """kill -9 again and again in one installation, each time a little later: as after a clean installation."""
    _, timeline = desk.clean(masters, nodes)
    moments = timeline.moments(len(timeline.phases), _SEED + 1)
    reached = 0
    with desk.trial(masters, nodes) as trial:
        for moment in moments:
            with trial.start() as installer:
                reached += installer.until(moment)
                installer.kill()
        desk.figures["killed"] = f"{reached} of {len(moments)} moments came"
        finish(desk, trial)


def cut(desk: Desk, *, masters: int, nodes: int, number: int) -> None:
    """Power cut of one or all hosts in the middle of an installation; power back, then the same command."""
    _, timeline = desk.clean(masters, nodes)
    moment = timeline.moments(CUTS, _SEED + 2)[number]
    with desk.trial(masters, nodes) as trial:
        victims = _victims(trial, number)
        desk.figures |= {"moment": str(moment), "off": " ".join(host.name for host in victims)}
        with at(trial, moment, desk) as installer:
            for host in victims:
                host.power_off()
            ended = installer.wait(timeout=300)
        desk.figures["then"] = f"exit code {ended.code} after {ended.seconds:.0f} s"
        if ended.code not in {0, 4, 6, 8} or "Traceback (most" in ended.said:
            raise Failed(f"of a host without power the installer said, with exit code {ended.code}:\n{ended.tail}")
        for host in victims:
            host.power_on()
        finish(desk, trial)


@contextlib.contextmanager
def at(trial: Trial, moment: Moment, desk: Desk) -> Iterator[Installer]:
    """Start an installation and give it over when the moment has come."""
    with trial.start() as installer:
        if not installer.until(moment):
            desk.figures["note"] = "the installation ended before the moment came"
        yield installer


def finish(desk: Desk, trial: Trial) -> None:
    """The same command again: it succeeds, and the site is as after a clean installation."""
    ended = trial.install().expect(0)
    desk.figures["again"] = f"{ended.seconds:.0f} s"
    desk.must_equal_clean(trial)


def _victims(trial: Trial, number: int) -> tuple[BlankHost, ...]:
    """One host after the other in turn, then all of them."""
    hosts = trial.bed.hosts
    turn = number % (len(hosts) + 1)
    return hosts if turn == len(hosts) else (hosts[turn],)


def scenarios() -> tuple[Scenario, ...]:
    """Return them all: the same moments at every run."""
    found: list[Scenario] = []
    for masters, nodes in TOPOLOGIES:
        where = {"masters": masters, "nodes": nodes}
        name = f"{masters}+{nodes}"
        found.append(Scenario(f"kill-chain-{name}", 30, functools.partial(kill_chain, **where)))
        found += [Scenario(f"kill-{name}-{one + 1:02d}", 15, functools.partial(kill, number=one, **where)) for one in range(KILLS)]
        found += [Scenario(f"cut-{name}-{one + 1:02d}", 20, functools.partial(cut, number=one, **where)) for one in range(CUTS)]
    return tuple(found)
