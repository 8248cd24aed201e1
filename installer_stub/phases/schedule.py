"""From phases to the Schedule of their steps: pure, so that ``plan`` shows exactly what ``install`` does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from installer_stub.phases.base import Artifact, Context, HostPhase, Phase
from installer_stub.plan.model import HostPlan, Plan
from installer_stub.plan.step import Key, Schedule, Step

PhaseStep = Step[Context]


@dataclass(frozen=True, slots=True)
class Whole:
    """A phase as the work of one step."""

    phase: Phase

    def is_done(self, context: Context) -> bool:
        """Ask the phase."""
        return not self.phase.is_needed(context)

    def do(self, context: Context) -> None:
        """Let the phase do it."""
        self.phase.run(context)


@dataclass(frozen=True, slots=True)
class OnHost:
    """A phase's work on one host."""

    phase: HostPhase
    host: HostPlan

    def is_done(self, context: Context) -> bool:
        """Ask the phase for this host."""
        return self.phase.is_done(context, self.host, context.connection(self.host))

    def do(self, context: Context) -> None:
        """Let the phase do it on this host."""
        self.phase.do(context, self.host, context.connection(self.host))


def schedule_of(phases: Iterable[Phase], plan: Plan, artifact: Artifact) -> Schedule[Context]:
    """Return the steps of ``phases`` for ``plan``, with what each needs, touches, moves and takes."""
    steps: list[PhaseStep] = []
    keys: list[tuple[Phase, tuple[Key, ...]]] = []
    masters = frozenset(host.address for host in plan.masters)
    for number, phase in enumerate(phases, 1):
        before = frozenset(key for earlier, own in keys for key in own if phase.after is None or isinstance(earlier, phase.after))
        hosts = phase.hosts(plan)
        through = masters if phase.acts_on_cluster else frozenset()
        made: list[PhaseStep] = []
        for some in _groups(phase, hosts):
            addresses = tuple(host.address for host in some)
            work = OnHost(phase, some[0]) if isinstance(phase, HostPhase) else Whole(phase)
            step = Step(
                Key(number, some[0].address if isinstance(phase, HostPhase) else ""),
                phase.title,
                addresses,
                through.union(addresses),
                before | {made[-1].key} if made and isinstance(phase, HostPhase) and phase.one_by_one else before,
                work,
                sum(phase.moves(plan, host, artifact) for host in some),
                phase.duration(plan),
                phase.looks,
                {host.address: frozenset(phase.things(plan, host)) for host in some},
            )
            made.append(step)
        steps += made
        keys.append((phase, tuple(step.key for step in made)))
    return Schedule(steps)


def _groups(phase: Phase, hosts: tuple[HostPlan, ...]) -> list[tuple[HostPlan, ...]]:
    """Return the hosts of each step: every host's own, or all in one; none where there is no host."""
    if isinstance(phase, HostPhase):
        return [(host,) for host in hosts]
    return [hosts] if hosts else []
