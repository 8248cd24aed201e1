"""kill -9 of the installer and power cuts of hosts, at moments that the installer itself announces; then the same command."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence

from tests.soak.installer import Failed, Installer
from tests.soak.moments import Moment
from tests.soak.scenario import Desk, Scenario, Trial
from tests.testbed.hosts import BlankHost

KILLS, CUTS = 20, 10  # moments of each topology
KILL_ROWS, CUT_ROWS = 4, 2  # so many installations share them, early and late moments in each
TOPOLOGIES = ((1, 1), (3, 1))
_SEED = 7


def kill(desk: Desk, *, masters: int, nodes: int, numbers: Sequence[int]) -> None:
    """kill -9 of the installer at moments of its own plan, each time in the same command: as after a clean installation."""
    _, timeline = desk.clean(masters, nodes)
    moments = timeline.moments(KILLS, _SEED)
    with desk.trial(masters, nodes) as trial:
        for number in numbers:
            with at(trial, moments[number], desk, number) as installer:
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


def cut(desk: Desk, *, masters: int, nodes: int, numbers: Sequence[int]) -> None:
    """Power cut of one or all hosts in the middle of an installation; power back, then the same command."""
    _, timeline = desk.clean(masters, nodes)
    moments = timeline.moments(CUTS, _SEED + 2)
    with desk.trial(masters, nodes) as trial:
        for number in numbers:
            victims = _victims(trial, number)
            with at(trial, moments[number], desk, number) as installer:
                for host in victims:
                    host.power_off()
                ended = installer.wait(timeout=900)
            desk.figures[f"{number + 1:02d} off"] = f"{' '.join(host.name for host in victims)}: exit code {ended.code} after {ended.seconds:.0f} s"
            if ended.code not in {0, 4, 6, 8} or "Traceback (most" in ended.said:
                raise Failed(f"of a host without power the installer said, with exit code {ended.code}:\n{ended.tail}")
            for host in victims:
                host.power_on()
        finish(desk, trial)


@contextlib.contextmanager
def at(trial: Trial, moment: Moment, desk: Desk, number: int) -> Iterator[Installer]:
    """Start an installation and give it over when the moment has come, or can come no more."""
    with trial.start() as installer:
        came = installer.until(moment)
        desk.figures[f"{number + 1:02d}"] = f"{moment}" if came else f"{moment}: an earlier run had done it, at once then"
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
    """Return rows of moments, several in one installation, and all of them: the same moments at every run."""
    found: list[Scenario] = []
    for masters, nodes in TOPOLOGIES:
        where = {"masters": masters, "nodes": nodes}
        name = f"{masters}+{nodes}"
        found.append(Scenario(f"kill-chain-{name}", 30, functools.partial(kill_chain, **where)))
        found += [Scenario(f"kill-{name}-{_row(row)}", 30, functools.partial(kill, numbers=range(row, KILLS, KILL_ROWS), **where)) for row in range(KILL_ROWS)]
        found += [Scenario(f"cut-{name}-{_row(row)}", 40, functools.partial(cut, numbers=range(row, CUTS, CUT_ROWS), **where)) for row in range(CUT_ROWS)]
    return tuple(found)


def singles() -> tuple[Scenario, ...]:
    """Return each moment alone, on blank hosts: to find out which one of a row it was."""
    found: list[Scenario] = []
    for masters, nodes in TOPOLOGIES:
        where = {"masters": masters, "nodes": nodes}
        name = f"{masters}+{nodes}"
        found += [Scenario(f"one-kill-{name}-{one + 1:02d}", 15, functools.partial(kill, numbers=(one,), **where)) for one in range(KILLS)]
        found += [Scenario(f"one-cut-{name}-{one + 1:02d}", 20, functools.partial(cut, numbers=(one,), **where)) for one in range(CUTS)]
    return tuple(found)


def _row(number: int) -> str:
    return "abcdefgh"[number]
