"""A hundred hosts through plan, schedule and executor: the phases' own steps and needs, hosts that are simulated."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from installer_stub.errors import CommandFailed, HostError, HostsFailed, NotPlanned
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.phases import runner
from installer_stub.phases.base import Context, HostPhase, Phase
from installer_stub.phases.join_masters import JoinMasters
from installer_stub.phases.pipeline import INSTALL
from installer_stub.phases.schedule import schedule_of
from installer_stub.plan.model import HostPlan
from tests.fakes.plans import make_context, make_plan, masters, nodes, scripted_hosts

MASTERS = tuple(f"10.0.0.{number}" for number in range(2, 5))
NODES = tuple(f"10.0.1.{number}" for number in range(1, 98))
PLAN = make_plan(*masters(*MASTERS), *nodes(*NODES))


@dataclass
class World:
    """What has been done where, and what goes wrong. Every step takes its own time."""

    seed: int
    done: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    looked: int = 0
    joining: list[str] = field(default_factory=list)
    most_joining: int = 0
    spoil: Callable[[str, str], None] = lambda _title, _host: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def do(self, title: str, context: Context, hosts: tuple[str, ...], *, joins: bool) -> None:
        with self.lock:
            self.joining += hosts if joins else ()
            self.most_joining = max(self.most_joining, len(self.joining))
            pause = random.Random(f"{self.seed} {title} {hosts}").random() / 500  # noqa: S311
        try:
            time.sleep(pause)
            for host in hosts:
                if title in self.done[host]:
                    continue
                self.spoil(title, host)
                context.connections[host].run(Command.of("true", changes=title))
                with self.lock:
                    self.done[host].append(title)
        finally:
            with self.lock:
                self.joining = [host for host in self.joining if host not in hosts] if joins else self.joining


def simulated(world: World) -> tuple[Phase, ...]:
    """Return the installation's phases with their own plans, each of whose steps only notes that it was done."""
    return tuple(_host_phase(phase, world) if isinstance(phase, HostPhase) else _phase(phase, world, number) for number, phase in enumerate(INSTALL))


def _host_phase(phase: HostPhase, world: World) -> Phase:
    class Simulated(type(phase)):  # type: ignore[misc]
        def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
            del context, connection
            world.looked += 1
            return phase.title in world.done[host.address]

        def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
            del connection
            world.do(phase.title, context, (host.address,), joins=isinstance(phase, JoinMasters))

    made: Phase = Simulated.__new__(Simulated)
    made.__dict__.update(vars(phase))
    return made


def _phase(phase: Phase, world: World, number: int) -> Phase:
    title = f"{number} {phase.title}"  # the record is kept twice

    class Simulated(type(phase)):  # type: ignore[misc]
        def is_needed(self, context: Context) -> bool:
            return not all(title in world.done[host.address] for host in context.reachable(phase.hosts(PLAN)))

        def run(self, context: Context) -> None:
            if not phase.looks:
                world.do(title, context, tuple(host.address for host in context.reachable(phase.hosts(PLAN))), joins=False)

    made: Phase = Simulated.__new__(Simulated)
    made.__dict__.update(vars(phase))
    return made


def context(*, alone: bool = True) -> Context:
    hosts = scripted_hosts(PLAN)
    for host in hosts.values():
        host.on("^true$")
    return make_context(PLAN, hosts, alone=alone)


def titles(host: str) -> list[str]:
    return [
        phase.title if isinstance(phase, HostPhase) else f"{number} {phase.title}"
        for number, phase in enumerate(INSTALL)
        if host in {each.address for each in phase.hosts(PLAN)} and not phase.looks
    ]


def assert_complete(world: World, but: frozenset[str] = frozenset()) -> None:
    for host in {*MASTERS, *NODES} - but:
        assert world.done[host] == titles(host), host


def test_every_host_goes_through_every_phase_once_in_order_and_a_second_run_does_nothing() -> None:
    world = World(1)
    runner.run(simulated(world), context())
    assert_complete(world)
    assert world.most_joining == 1  # etcd takes one master at a time
    again = context()
    runner.run(simulated(world), again)
    assert_complete(world)
    assert all(not host.commands for host in again.connections.values())  # type: ignore[attr-defined]


def test_a_slow_node_holds_up_no_other_before_the_application() -> None:
    world, joined, released = World(2), threading.Event(), threading.Event()
    slow = NODES[40]

    def spoil(title: str, host: str) -> None:
        if host == slow and title == "Prepare the hosts":
            assert released.wait(60)
        if title == "Join the nodes" and sum("Join the nodes" in world.done[each] for each in NODES) >= len(NODES) - 2:
            joined.set()
            released.set()

    # All others join while this one is still being prepared: the registry does not wait for nodes it does not need.
    world.spoil = spoil
    runner.run(simulated(world), context())
    assert joined.is_set()
    assert_complete(world)


def test_what_hosts_pull_before_they_join_keeps_no_master_from_starting() -> None:
    """A hundred hosts want more lanes than there are."""
    world, started = World(5), threading.Event()

    def spoil(title: str, host: str) -> None:
        if title.endswith("Start the first master"):
            started.set()
        if title == "Pull images to the hosts that join":
            assert started.wait(60), host

    world.spoil = spoil
    runner.run(simulated(world), context())
    assert_complete(world)


@pytest.mark.parametrize("seed", range(2))
def test_killed_again_and_again_it_ends_as_if_it_never_was(seed: int) -> None:
    random_, world, kills = random.Random(seed), World(seed), 0  # noqa: S311
    tries = 0
    while True:
        left = random_.randint(1, 700)

        def spoil(title: str, host: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise CommandFailed(MASTERS[0], f"killed at {title} of {host}")

        world.spoil = spoil
        tries += 1
        try:
            runner.run(simulated(world), context())
        except HostError:
            kills += 1
            assert tries < 60
            continue
        break
    assert_complete(world)
    assert kills == tries - 1


def test_nodes_that_fail_alone_are_left_out_and_all_others_complete() -> None:
    world, lost = World(3), frozenset({NODES[3], NODES[50], NODES[96]})
    where = dict(zip(sorted(lost), ("Prepare the hosts", "Configure the container runtime", "Join the nodes"), strict=True))

    def spoil(title: str, host: str) -> None:
        if where.get(host) == title:
            raise CommandFailed(host, "its disk is full")

    world.spoil = spoil
    here = context()
    runner.run(simulated(world), here)
    assert set(here.left_out) == lost
    assert all(where[host] in error.problem for host, error in here.left_out.items())
    assert_complete(world, but=lost)


def test_a_master_that_fails_stops_everything_that_has_not_begun() -> None:
    world = World(4)

    def spoil(title: str, host: str) -> None:
        if host in MASTERS[1:] and title == "Copy the bundle to the masters":
            raise CommandFailed(host, "its disk is full")

    world.spoil = spoil
    with pytest.raises((HostsFailed, CommandFailed), match=r"Copy the bundle to the masters: .*its disk is full"):
        runner.run(simulated(world), context())
    assert not any("Start the first master" in done for done in world.done[MASTERS[0]])


def test_a_step_cannot_change_a_host_that_its_plan_does_not_name() -> None:
    class Stray(HostPhase):
        title = "Prepare the hosts"

        def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
            del context, connection
            return host.address != NODES[5]

        def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
            del host, connection
            context.connections[NODES[6]].run(Command.of("true", changes="prepare it too"))

    here = context(alone=False)
    with pytest.raises(NotPlanned, match=f"{NODES[6]}: the plan of 'Prepare the hosts' does not name this host"):
        runner.run((Stray(),), here)
    assert here.connections[NODES[6]].commands == []  # type: ignore[attr-defined]


def test_the_estimate_is_of_hosts_side_by_side() -> None:
    artifact = context().artifact
    hundred, one = (schedule_of(INSTALL, plan, artifact).seconds(60e6) for plan in (PLAN, make_plan(*masters(*MASTERS), *nodes(NODES[0]))))
    assert hundred == pytest.approx(one)
