"""History: when something other than a heartbeat changed last, from one look to the next. Pure.

The first look goes by what the API itself wrote down: every object has the time of its last write (managedFields). From then on
two looks are compared, and pods that lived and died between them leave events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from installer_stub.quiet.traces import Trace, traces

Object = Mapping[str, Any]
# A status that has changed in so many looks, while what is wanted of the thing has not: it measures something, and never ends.
RESTLESS: Final = 10


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What an event says of a pod: there was one. ``event`` is the event's own uid; of a static pod the pod's would be another one."""

    event: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class History:
    """``now`` and ``changed``: seconds since the epoch, by the clock of the host that was asked. ``what`` changed last."""

    now: float
    changed: float
    what: str
    traces: Mapping[str, Trace]
    events: frozenset[str]
    restless: Mapping[str, int] = field(default_factory=Counter)

    @property
    def quiet(self) -> float:
        """Seconds in which nothing has changed."""
        return max(0.0, self.now - self.changed)

    def endless(self) -> tuple[str, ...]:
        """Return what changes all the time by itself and is not waited for, by name."""
        return tuple(sorted(str(self.traces[uid]) for uid, times in self.restless.items() if times >= RESTLESS and uid in self.traces))


def begin(objects: Iterable[Object], glimpses: Iterable[Glimpse], now: float) -> History:
    """Return what one look alone tells. What the API has no time for may have changed just now."""
    found = traces(objects)
    changed, what = 0.0, ""
    for trace in found.values():
        at = now if trace.written is None else min(now, trace.written)
        if at > changed:
            changed, what = at, f"{trace} was written"
    return History(now, changed, what, found, frozenset(each.event for each in glimpses))


def proceed(before: History, objects: Sequence[Object], glimpses: Sequence[Glimpse], now: float) -> History:
    """Return what is known after another look."""
    found = traces(objects)
    what = _came_or_went(before, found) or _between(before, objects, glimpses) or _asked_anew(before, found)
    # While things come and go a status has every reason to change.
    restless = Counter() if what else Counter(before.restless)
    for uid, trace in found.items():
        old = before.traces.get(uid)
        if old is None or (old.generation, old.state) == (trace.generation, trace.state):
            continue
        restless[uid] += 1
        if restless[uid] < RESTLESS:
            what = what or f"{trace} changed"
    events = before.events.union(each.event for each in glimpses)
    # A clock that was set back says nothing of how long anything lasted.
    if now < before.now:
        what = what or "the clock of the host was set"
    return History(now, now if what else before.changed, what or before.what, found, events, restless)


def _came_or_went(before: History, found: Mapping[str, Trace]) -> str:
    for uid, trace in found.items():
        if uid not in before.traces:
            return f"{trace} appeared"
    return next((f"{trace} went away" for uid, trace in before.traces.items() if uid not in found), "")


def _asked_anew(before: History, found: Mapping[str, Trace]) -> str:
    """Return something of which another thing is wanted than before."""
    return next((f"{trace} changed" for uid, trace in found.items() if uid in before.traces and before.traces[uid].generation != trace.generation), "")


def _between(before: History, objects: Iterable[Object], glimpses: Iterable[Glimpse]) -> str:
    """Return a pod that came and went between two looks."""
    items = tuple(objects)
    there = {(trace.namespace, trace.name) for trace in before.traces.values() if trace.kind == "Pod"}
    there |= {(str(item["metadata"].get("namespace")), str(item["metadata"]["name"])) for item in items if item.get("kind") == "Pod"}
    clocks = [(item["metadata"].get("namespace"), f"{item['metadata']['name']}-") for item in items if item.get("kind") == "CronJob"]
    for each in glimpses:
        known = each.event in before.events or (each.namespace, each.name) in there
        if not known and not any(each.namespace == space and each.name.startswith(name) for space, name in clocks):
            return f"Pod {each.namespace}/{each.name} came and went"
    return ""
