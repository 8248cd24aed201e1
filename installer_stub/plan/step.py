"""Step: one piece of work of a phase, the unit that is planned, shown, done and refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

from installer_stub.changes.things import Thing

C_contra = TypeVar("C_contra", contravariant=True)
C = TypeVar("C")


class Key(NamedTuple):
    """Names a step within its schedule: the place of its phase, counted from 1, and the host's address where it has one host."""

    phase: int
    host: str = ""

    def __str__(self) -> str:
        return f"{self.phase}:{self.host}" if self.host else str(self.phase)


class Work(Protocol[C_contra]):
    """What a step does, with a context that reaches the hosts it may change, and lets it change no others."""

    def is_done(self, context: C_contra) -> bool:
        """Tell whether there is nothing to do. Looks only."""

    def do(self, context: C_contra) -> None:
        """Do it. A second time after a kill at any moment must end in the same state."""


@dataclass(frozen=True, slots=True)
class Step(Generic[C]):
    """``hosts`` are the lanes that it occupies: on a host one step is at work at a time, in the schedule's order.

    ``touches`` is where it may change anything: its hosts, and masters where it changes the cluster through them.
    ``things`` are what the ledgers of its hosts may come to hold through it, by host; ``DIR/*`` is any file there.
    ``needs`` must have ended well before it begins, or belong to hosts that were left out. ``looks``: it changes nothing
    and runs every time. ``bytes`` are what it moves, ``seconds`` an estimate without them.
    """

    key: Key
    title: str
    hosts: tuple[str, ...]
    touches: frozenset[str]
    needs: frozenset[Key]
    work: Work[C]
    bytes: int = 0
    seconds: float = 0.0
    looks: bool = False
    things: Mapping[str, frozenset[Thing]] = field(default_factory=dict)


class Schedule(Generic[C]):
    """Steps in an order in which each comes after all that it needs: what will be done, all of it, and nothing else."""

    def __init__(self, steps: Iterable[Step[C]]) -> None:
        """Take ``steps`` in their order. Raises ValueError for two of one key, or a need that does not come before."""
        self.steps = tuple(steps)
        known: set[Key] = set()
        for step in self.steps:
            if step.key in known:
                raise ValueError(f"two steps are {step.key}")
            if not step.needs <= known:
                raise ValueError(f"{step.key} {step.title} needs what does not come before it: {sorted(step.needs - known)}")
            known.add(step.key)

    def seconds(self, bandwidth: float, *, skip: frozenset[Key] = frozenset()) -> float:
        """Return how long it takes about: every lane at work as early as it can, ``bandwidth`` bytes a second to each host."""
        ends: dict[Key, float] = {}
        lanes: dict[str, float] = {}
        for step in self.steps:
            begin = max([0.0, *(ends[need] for need in step.needs), *(lanes.get(host, 0.0) for host in step.hosts)])
            took = 0.0 if step.key in skip else step.seconds + step.bytes / bandwidth / max(1, len(step.hosts))
            ends[step.key] = begin + took
            lanes |= dict.fromkeys(step.hosts, begin + took)
        return max(ends.values(), default=0.0)
