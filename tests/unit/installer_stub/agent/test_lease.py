"""The lease of a site: who gets it, who waits for whom, and what the loser is told."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from installer_stub.agent.client import LeaseAnswer
from installer_stub.agent.host_lease import Holder
from installer_stub.agent.lease import Claimant, operator, take_leases
from installer_stub.errors import SiteBusy
from installer_stub.host.model import Host, Role

ME = Claimant("me", "ann@laptop", "install")
GRANTED = LeaseAnswer(granted=True, holder=None, died=None, now=1000.0)


def held(*, heard: float) -> LeaseAnswer:
    """By a run whose operator was heard ``heard`` seconds ago."""
    return LeaseAnswer(granted=False, holder=Holder("theirs", "bob@desk", "reset", 0.0, 1000.0 - heard, 7), died=None, now=1000.0)


@dataclass
class FakeHost:
    address: str
    answers: list[LeaseAnswer]
    asked: list[str] = field(default_factory=list)

    @property
    def host(self) -> Host:
        return Host(self.address, Role.MASTER)

    def take_lease(self, run: str, who: str, verb: str) -> LeaseAnswer:
        self.asked.append(f"{run} {who} {verb}")
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def take(*hosts: FakeHost) -> tuple[list[str], float]:
    said: list[str] = []
    clock = Clock()
    take_leases(hosts, ME, said.append, clock=clock, sleep=clock.sleep)
    return said, clock.now


def test_every_host_in_the_order_of_addresses() -> None:
    order: list[str] = []

    class Noting(FakeHost):
        def take_lease(self, run: str, who: str, verb: str) -> LeaseAnswer:
            order.append(self.address)
            return super().take_lease(run, who, verb)

    hosts = [Noting(address, [GRANTED]) for address in ("10.0.0.4", "10.0.0.2", "10.0.0.3")]
    assert take(*hosts) == ([], 0.0)
    assert order == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
    assert hosts[0].asked == ["me ann@laptop install"]


def test_a_living_holder_keeps_it_and_the_loser_is_told_who_since_when_and_what_to_do() -> None:
    busy, other = FakeHost("10.0.0.2", [held(heard=3)]), FakeHost("10.0.0.3", [GRANTED])
    with pytest.raises(SiteBusy) as caught:
        take(busy, other)
    assert caught.value.problem == "10.0.0.2: reset by bob@desk, begun 1970-01-01 00:00:00 UTC is at work on this site, heard 3 s ago"
    assert "run the same command again" in caught.value.remedy
    assert caught.value.exit_code == 10
    assert other.asked == []  # whoever meets the other at the first host holds nothing that the other needs


def test_one_that_is_just_ending_is_waited_for_and_said_once() -> None:
    said, waited = take(FakeHost("10.0.0.2", [held(heard=1), held(heard=2), GRANTED]))
    assert said == ["10.0.0.2: waiting for reset by bob@desk, begun 1970-01-01 00:00:00 UTC to end"]
    assert waited == 2.0


def test_one_whose_operator_is_silent_is_waited_for_until_its_agent_gives_up() -> None:
    _, waited = take(FakeHost("10.0.0.2", [*[held(heard=25.0 + second) for second in range(60)], GRANTED]))
    assert waited == 60.0
    with pytest.raises(SiteBusy):
        take(FakeHost("10.0.0.2", [held(heard=500)]))


def test_a_lock_without_a_name_is_somebodys_all_the_same() -> None:
    with pytest.raises(SiteBusy, match="another run is at work"):
        take(FakeHost("10.0.0.2", [LeaseAnswer(granted=False, holder=None, died=None, now=1.0)]))


def test_what_died_with_it_is_said() -> None:
    died = LeaseAnswer(granted=True, holder=None, died=Holder("x", "bob@desk", "install", 60.0, 61.0, 7), now=1000.0)
    said, _ = take(FakeHost("10.0.0.2", [died]))
    assert said == ["10.0.0.2: install by bob@desk, begun 1970-01-01 00:01:00 UTC, died there; what it left running was ended"]


def test_an_operator_has_a_name() -> None:
    assert "@" in operator()
