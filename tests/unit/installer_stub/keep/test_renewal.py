"""When certificates are renewed: at half of their life, one master at a time, and at once where all have ended."""

from __future__ import annotations

import pytest

from installer_stub.facts.certificates import Certificate
from installer_stub.keep.renewal import due, in_slot, may_wait, my_turn, next_look, next_slot, slot
from installer_stub.keep.script import LONGEST
from tests.unit.installer_stub.keep.documents import YEAR, policy

BEGIN = 1_800_000_000.0


def leaf(life: float = 3 * YEAR, path: str = "/etc/kubernetes/pki/apiserver.crt", **more: bool) -> Certificate:
    return Certificate(path, BEGIN, BEGIN + life, **more)


CA = leaf(30 * YEAR, "/etc/kubernetes/pki/ca.crt", authority=True)
TORN = Certificate("/x", 0.0, 0.0, problem="no certificate")


def test_half_of_its_life_is_when() -> None:
    found = (leaf(), CA, TORN)
    assert due(found, BEGIN + 1.49 * YEAR) == ()
    assert due(found, BEGIN + 1.51 * YEAR) == (leaf(),)
    assert due(found, BEGIN + 29 * YEAR) == (leaf(),)  # never a CA


def test_a_clock_that_is_wrong_renews_nothing_and_one_that_was_ahead_is_made_good() -> None:
    found = (leaf(), CA)
    assert due(found, 0.0) == ()  # 1970: no battery
    assert due(found, BEGIN + 31 * YEAR) == ()  # nothing that this CA signs would be believed
    assert due(found, BEGIN - 300) == ()  # two clocks that differ
    ahead = Certificate("/etc/kubernetes/pki/apiserver.crt", BEGIN + 10 * YEAR, BEGIN + 13 * YEAR)
    assert due((ahead, CA), BEGIN + YEAR) == (ahead,)
    assert my_turn(policy(masters=3, position=2), (ahead, CA), BEGIN + YEAR)


@pytest.mark.parametrize("masters", [3, 5])
def test_of_several_masters_each_has_its_turn_and_no_two_the_same(masters: int) -> None:
    found = (leaf(),)
    start = BEGIN + 1.6 * YEAR
    turns = {number: [position for position in range(masters) if my_turn(policy(masters=masters, position=position), found, start + number * 600)] for number in range(masters)}
    assert all(len(positions) == 1 for positions in turns.values())
    assert sorted(positions[0] for positions in turns.values()) == list(range(masters))


@pytest.mark.parametrize(("years", "waits"), [(1.51, True), (2.24, True), (2.26, False), (2.99, False), (3.5, False), (-5, False)])
def test_a_master_that_is_away_is_waited_for_while_there_is_time(years: float, *, waits: bool) -> None:
    """A clock that was ahead, and what ends soon, wait for nobody."""
    found = (leaf(), CA) if years > 0 else (Certificate("/etc/kubernetes/pki/apiserver.crt", BEGIN + 10 * YEAR, BEGIN + 13 * YEAR), CA)
    assert may_wait(found, BEGIN + abs(years) * YEAR) is waits


def test_one_master_alone_and_certificates_that_have_ended_wait_for_nothing() -> None:
    assert my_turn(policy(), (leaf(),), BEGIN + 1.6 * YEAR)
    for position in range(3):
        for ends in (-5 * YEAR, -1, 0, 60):
            assert my_turn(policy(masters=3, position=position), (leaf(),), BEGIN + 3 * YEAR - ends)


@pytest.mark.parametrize("validity", [600, 3600, 86400, 3 * YEAR])
@pytest.mark.parametrize("masters", [1, 3, 5])
def test_whoever_looks_when_it_was_told_to_renews_before_the_end(validity: int, masters: int) -> None:
    """The minute's timer, at the certificate's own pace, on every master: from its begin to its renewal."""
    for position in range(masters):
        rules = policy(validity=validity, masters=masters, position=position)
        found = (leaf(validity), CA)
        now = BEGIN
        while True:
            now = (next_look(rules, found, now) - 20) // 60 * 60 + 80  # the timer comes twenty seconds after every minute
            if due(found, now) and my_turn(rules, found, now):
                break
            assert now < BEGIN + validity
        assert BEGIN + validity / 2 <= now < BEGIN + validity * 0.9


def test_a_look_is_never_further_away_than_hours() -> None:
    assert next_look(policy(), (leaf(), CA), BEGIN) == BEGIN + LONGEST
    assert next_look(policy(), (), BEGIN) == BEGIN + LONGEST
    assert next_look(policy(), (leaf(),), BEGIN + 1.5 * YEAR - 60) == BEGIN + 1.5 * YEAR
    assert next_look(policy(masters=3), (leaf(),), BEGIN + 1.6 * YEAR) == next_slot(policy(masters=3), BEGIN + 1.6 * YEAR)


@pytest.mark.parametrize("validity", [3600, 4 * 3600, 3 * YEAR])
@pytest.mark.parametrize("masters", [3, 5])
def test_a_master_that_begins_is_ready_again_before_another_one_may_begin(validity: int, masters: int) -> None:
    rules = [policy(validity=validity, masters=masters, position=position) for position in range(masters)]
    length = slot(rules[0])
    begins = [[second for second in range(int(BEGIN), int(BEGIN) + length * masters * 2) if in_slot(each, second)] for each in rules]
    for position, mine in enumerate(begins):
        others = [second for other, theirs in enumerate(begins) if other != position for second in theirs]
        assert all(abs(second - other) > length / 2 for second in (mine[0], mine[-1]) for other in others)


def test_the_next_slot_is_this_masters_own_and_lies_ahead() -> None:
    for position in range(3):
        rules = policy(masters=3, position=position)
        for passed in (0, 1, 299, 301, 599, 600, 1799):
            begins = next_slot(rules, BEGIN + passed)
            assert BEGIN + passed < begins <= BEGIN + passed + 3 * slot(rules)
            assert in_slot(rules, begins)
            assert not in_slot(rules, begins + slot(rules) / 2)
