"""Lanes: one step at a time on a host, nothing before what it needs, and what happens when one fails."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import pytest

from installer_stub.plan.executor import Executor
from installer_stub.plan.step import Key, Schedule, Step

Act = Callable[[], None]


@dataclass(frozen=True)
class Nothing:
    """Work that the crew of a test does itself."""

    def is_done(self, context: None) -> bool:
        del context
        return False

    def do(self, context: None) -> None:
        del context


def step(phase: int, *hosts: str, needs: Iterable[Key] = (), bytes: int = 0, seconds: float = 0.0) -> Step[None]:  # noqa: A002 - as the field
    key = Key(phase, hosts[0] if len(hosts) == 1 else "")
    return Step(key, f"phase {phase}", hosts, frozenset(hosts), frozenset(needs), Nothing(), bytes, seconds)


@dataclass
class Crew:
    """Keeps what was done, in order, and sees that no host has two steps at work."""

    act: Mapping[Key, Act] = field(default_factory=dict)
    lone: frozenset[str] = frozenset()  # hosts that may fail alone
    did: list[Key] = field(default_factory=list)
    ended: list[Key] = field(default_factory=list)
    out: set[str] = field(default_factory=set)
    failures: list[tuple[Key, BaseException]] = field(default_factory=list)
    waited: list[list[Key]] = field(default_factory=list)
    most: int = 0
    clashes: list[str] = field(default_factory=list)
    _busy: set[str] = field(default_factory=set)
    _at_work: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self, step: Step[None]) -> None:
        with self._lock:
            self.clashes += [host for host in step.hosts if host in self._busy]
            self.clashes += [f"{step.key} before {need}" for need in step.needs if need not in self.ended and need.host not in self.out]
            self._busy.update(step.hosts)
            self._at_work += 1
            self.most = max(self.most, self._at_work)
            self.did.append(step.key)
        try:
            self.act.get(step.key, lambda: None)()
        finally:
            with self._lock:
                self._busy.difference_update(step.hosts)
                self._at_work -= 1
                self.ended.append(step.key)

    def is_out(self, host: str) -> bool:
        return host in self.out

    def failed(self, step: Step[None], error: BaseException) -> bool:
        self.failures.append((step.key, error))
        if set(step.hosts) <= self.lone:
            self.out.update(step.hosts)
            return True
        return False

    def waiting(self, running: Iterable[Step[None]]) -> None:
        self.waited.append([each.key for each in running])


def fails() -> None:
    raise OSError("it broke")


def test_a_lane_keeps_its_order_and_waits_for_nobody_else() -> None:
    released = threading.Event()

    def slow() -> None:
        assert released.wait(10)

    steps = [step(1, "a"), step(1, "b"), step(2, "a"), step(2, "b")]
    crew = Crew({Key(1, "a"): slow, Key(2, "b"): released.set})
    assert Executor(Schedule(steps), crew).run()
    assert crew.did.index(Key(2, "b")) < crew.did.index(Key(2, "a"))
    assert (sorted(crew.did), crew.clashes) == (sorted(each.key for each in steps), [])


def test_a_step_of_several_hosts_takes_all_their_lanes() -> None:
    steps = [step(1, "a"), step(1, "b"), step(2, "a", "b"), step(3, "a"), step(3, "b")]
    crew = Crew({Key(1, "b"): lambda: time.sleep(0.05)})
    assert Executor(Schedule(steps), crew).run()
    assert crew.did[2] == Key(2)
    assert crew.clashes == []


def test_what_a_step_needs_comes_first_on_other_hosts_too() -> None:
    steps = [step(1, "m"), step(2, "n", needs=[Key(1, "m")]), step(1, "o")]
    crew = Crew({Key(1, "m"): lambda: time.sleep(0.05)})
    assert Executor(Schedule(steps), crew).run()
    assert crew.did.index(Key(1, "m")) < crew.did.index(Key(2, "n"))
    assert crew.clashes == []


def test_a_failure_lets_what_has_begun_end_and_begins_nothing_new() -> None:
    broken = threading.Event()

    def slow() -> None:
        assert broken.wait(10)
        time.sleep(0.05)

    def breaks() -> None:
        broken.set()
        fails()

    steps = [step(1, "a"), step(1, "b"), step(2, "a"), step(2, "b")]
    crew = Crew({Key(1, "a"): breaks, Key(1, "b"): slow})
    assert not Executor(Schedule(steps), crew).run()
    assert [key for key, _ in crew.failures] == [Key(1, "a")]
    assert crew.waited == [[Key(1, "b")]]
    assert sorted(crew.ended) == [Key(1, "a"), Key(1, "b")]


def test_a_host_that_may_fail_alone_holds_up_nobody() -> None:
    steps = [step(1, "m"), step(1, "n"), step(2, "n"), step(2, "m", needs=[Key(1, "n")]), step(3, "m", "n", needs=[Key(2, "n")])]
    crew = Crew({Key(1, "n"): fails}, lone=frozenset("n"))
    assert Executor(Schedule(steps), crew).run()
    assert crew.did == [Key(1, "m"), Key(1, "n"), Key(2, "m"), Key(3)] or crew.did == [Key(1, "n"), Key(1, "m"), Key(2, "m"), Key(3)]
    assert crew.waited == []


def test_no_more_steps_at_a_time_than_allowed() -> None:
    steps = [step(1, f"h{number}") for number in range(20)]
    crew = Crew({each.key: lambda: time.sleep(0.01) for each in steps})
    assert Executor(Schedule(steps), crew, limit=3).run()
    assert 1 < crew.most <= 3


@pytest.mark.parametrize("steps", [[step(1, "a"), step(1, "a")], [step(1, "a", needs=[Key(2, "a")]), step(2, "a")], [step(1, "a", needs=[Key(1, "a")])]])
def test_a_schedule_that_cannot_be_done_is_none(steps: list[Step[None]]) -> None:
    with pytest.raises(ValueError, match=r"two steps|needs what"):
        Schedule(steps)


def test_the_estimate_is_of_lanes_side_by_side() -> None:
    needs = [Key(1, "m")]
    steps = [step(1, "m", seconds=10), step(1, "n", seconds=2), step(2, "n", needs=needs, seconds=3), step(3, "m", "n", bytes=400)]
    assert Schedule(steps).seconds(bandwidth=100) == pytest.approx(10 + 3 + 2)
    assert Schedule(steps).seconds(bandwidth=100, skip=frozenset(needs)) == pytest.approx(2 + 3 + 2)
    assert Schedule[None](()).seconds(1) == 0


@pytest.mark.parametrize("seed", range(25))
def test_any_schedule_ends_with_every_rule_kept(seed: int) -> None:
    random_ = random.Random(seed)  # noqa: S311
    hosts = [f"h{number}" for number in range(random_.randint(1, 6))]
    steps: list[Step[None]] = []
    for phase in range(1, random_.randint(2, 12)):
        some = random_.sample(hosts, random_.randint(1, len(hosts)))
        known = [each.key for each in steps]
        needs = random_.sample(known, random_.randint(0, min(3, len(known))))
        together = random_.random() < 0.3
        steps += [step(phase, *some, needs=needs)] if together else [step(phase, host, needs=needs) for host in some]
    broken = {each.key: fails for each in steps if random_.random() < 0.05}
    crew = Crew(broken, lone=frozenset(random_.sample(hosts, len(hosts) // 2)))
    whole = Executor(Schedule(steps), crew, limit=random_.randint(1, 8)).run()
    assert crew.clashes == []
    assert len(set(crew.did)) == len(crew.did)
    if whole:
        undone = {each.key for each in steps} - set(crew.did)
        assert all(set(each.hosts) <= crew.out for each in steps if each.key in undone)
    else:
        assert crew.failures
