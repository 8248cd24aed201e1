"""Settle: wait until a cluster has become what is wanted, its own conditions hold, and nothing has happened for long enough."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from installer_stub.errors import ClusterError, CommandFailed, NotSettled
from installer_stub.host.command import CommandResult, Secret, masked
from installer_stub.kube.kubectl import Kubectl
from installer_stub.kube.workloads import Unready
from installer_stub.quiet.declared import FILE, NOTHING, Condition, Declared
from installer_stub.quiet.diagnosis import listed
from installer_stub.quiet.history import History
from installer_stub.quiet.judge import Verdict, Wishes, judge
from installer_stub.quiet.look import look
from installer_stub.ui.transfer import duration

_INTERVAL: Final = 2.0  # seconds between two looks
_CALM_INTERVAL: Final = 5.0  # once nothing but quiet is waited for
_STEADY: Final = 4.0  # seconds: between a Job's end and the pod that its operator makes then, everything is ready for a moment
_HOSTS: Final = 30.0  # seconds between two looks at hosts while something is waited for
_AGAIN: Final = 60.0  # seconds after which the same is said again
_NAMED: Final = 3  # as many are named while we wait; the error names all

Runs = Callable[[tuple[str, ...], float], CommandResult]  # a command of the bundle, as its CMDs run; seconds that it may take


class Reporter(Protocol):
    """Who is told what is waited for."""

    def step(self, text: str) -> None:
        """Say that something begins or happened."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A cluster that is quiet. Times in seconds."""

    quiet: float
    needed: float
    outside: tuple[Unready, ...]
    watched: str
    endless: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """Return what the closing lines say."""
        asked = f" ({self.needed:.0f} s were asked for)" if self.needed else ""
        said = [f"nothing happened for {duration(self.quiet)}{asked}; watched: {self.watched}"]
        if self.conditions:
            said.append(f"conditions that hold: {', '.join(self.conditions)}")
        return (*said, *(f"changes all the time by itself, and was not waited for: {each}" for each in self.endless))


@dataclass(slots=True)
class Settling:
    """What settling works with.

    ``pulls``: seconds since the last pull, 0 while one is under way. ``anew``: what is asked of the cluster now, after a look at its hosts: one that
    has died meanwhile is an error, or is not asked for any more. ``patient``: False where this run has changed nothing: then a cluster that is
    as it is wanted need not prove again that it stays so.
    """

    kubectl: Kubectl
    timeout: float
    wishes: Wishes
    reporter: Reporter
    declared: Declared = NOTHING
    runs: Runs | None = None
    pulls: Callable[[], float] = lambda: float("inf")
    anew: Callable[[], Wishes] | None = None
    patient: bool = True
    secrets: Sequence[Secret] = ()  # masked in what pods say
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    history: History | None = None
    began: float = 0.0
    said: str = ""
    said_at: float = 0.0
    looked_at: float = 0.0
    asked: dict[str, float] = field(default_factory=dict)  # when a condition was asked for first

    def say(self, text: str) -> None:
        """Tell what is waited for: when it changes, and again with the time that has passed while it does not."""
        now = self.clock()
        if text and (text != self.said or now - self.said_at >= _AGAIN):
            passed = f" ({duration(now - self.began)} of {duration(self.timeout)})" if text == self.said else ""
            self.reporter.step(f"{text}{passed}")
            self.said, self.said_at = text, now


def settle(work: Settling) -> Settled:
    """Return once everything is as it is wanted and has been quiet for as long as was asked.

    Raises NotSettled, which names every workload, its pod, its last event, the end of its log and what to look at: at once where something
    can never become ready, otherwise when the time is over.
    """
    work.began = work.clock()
    deadline, calm = work.began + work.timeout, 0
    while True:
        pause, text = _INTERVAL, ""
        try:
            verdict = _look(work)
        except (CommandFailed, ClusterError) as error:  # the API server restarts now and then: only time tells
            verdict, text = None, error.problem
        if verdict is not None and verdict.failed:
            raise _failure(work, "these cannot become ready any more:", verdict.failed)
        if verdict is None or verdict.waiting:
            calm = 0
            _look_at_hosts(work)
            text = text or _summary(verdict.waiting if verdict else ())
        else:
            calm += 1
            pulled = work.pulls()
            quiet = min(verdict.quiet, pulled)
            if quiet > verdict.needed or (not work.patient and pulled > 0 and (quiet >= _STEADY or calm > 1)):
                text = _unmet(work)
                if not text:
                    return _settled(work, verdict, quiet)
            else:
                text = _until_quiet(verdict, quiet, pulled)
                pause = min(_CALM_INTERVAL, max(1.0, verdict.needed - quiet + 0.5)) if work.patient else max(_INTERVAL, _STEADY - quiet)
        work.say(text)
        if work.clock() >= deadline:
            raise _too_late(work, verdict, text)
        work.sleep(pause)


def _look_at_hosts(work: Settling) -> None:
    now = work.clock()
    if work.anew is not None and now - max(work.looked_at, work.began) >= _HOSTS:
        work.wishes, work.looked_at = work.anew(), now


def _look(work: Settling) -> Verdict:
    seen = look(work.kubectl)
    verdict = judge(seen, work.history, work.wishes)
    if verdict.waiting:
        warnings = work.kubectl.items("events", "--all-namespaces", "--field-selector=type=Warning")
        verdict = judge(seen, work.history, work.wishes, warnings)
    work.history = verdict.history
    return verdict


def _settled(work: Settling, verdict: Verdict, quiet: float) -> Settled:
    names = tuple(each.name for each in work.declared.conditions)
    needed = verdict.needed if work.patient else 0.0
    return Settled(quiet, needed, verdict.outside, verdict.summary(), verdict.history.endless(), names)


def _summary(found: Sequence[Unready]) -> str:
    """Say what is waited for in one line: how many, the first few by name, and where they stand."""
    names = ", ".join(f"{each.kind} {each.name} ({_short(each.reason)})" for each in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"waiting for {names}{more}"


def _short(reason: str) -> str:
    """Return the first part of a reason; the scheduler's words in full, because a person has to act on them."""
    head, _, rest = reason.partition(":")
    return f"{head}: {rest.strip()[:200]}" if "not scheduled" in rest else head


def _until_quiet(verdict: Verdict, quiet: float, pulled: float) -> str:
    if pulled <= quiet and pulled < verdict.quiet:
        return f"everything is ready; waiting until nothing has been pulled for {verdict.needed:.0f} s"
    return f"everything is ready; waiting until nothing has changed for {verdict.needed:.0f} s; last: {verdict.history.what}"


def _unmet(work: Settling) -> str:
    """Return what to say of the first condition that does not hold, or nothing. Raises NotSettled where its time is over."""
    for each in work.declared.conditions:
        since = work.asked.setdefault(each.name, work.clock())
        holds, said = _holds(each, work)
        if not holds:
            if work.clock() - since >= each.timeout:
                raise NotSettled(f"condition {each.name!r} of {FILE} did not hold within {each.timeout:.0f} s: {masked(said, work.secrets)}", "look at what it asks; everything else is ready")
            return f"waiting for condition {each.name!r}" + ("" if each.command else f": {masked(said, work.secrets)}")
    return ""


def _holds(condition: Condition, work: Settling) -> tuple[bool, str]:
    if condition.command:
        if work.runs is None:
            raise NotSettled(f"condition {condition.name!r} is a command, and there is nobody here who runs it")
        result = work.runs(condition.command, condition.timeout)
        return result.ok, f"{' '.join(condition.command)[:200]} ended with {result.status}: {(result.stderr or result.stdout)[-500:].strip()}"
    return _holds_of(condition, work)


def _holds_of(condition: Condition, work: Settling) -> tuple[bool, str]:
    space = (f"--namespace={condition.namespace}",) if condition.namespace else ()
    output = "json" if condition.cel else f"jsonpath={condition.jsonpath}"
    result = work.kubectl.run("get", condition.kind, condition.object, *space, "--request-timeout=20s", f"--output={output}", check=False)
    of = f"{condition.kind} {condition.object}"
    if not result.ok:
        return False, f"{of}: {result.stderr.strip()[:500]}"
    if condition.cel is None:
        said = result.stdout.strip()
        shown = "something else" if condition.silent else repr(said[:500])
        return said == condition.wanted, f"{condition.jsonpath} of {of} is {shown}, not {condition.wanted!r}"
    try:
        item = json.loads(result.stdout)
    except (ValueError, RecursionError):
        return False, f"{of}: kubectl answered what is no JSON"
    holds, why = condition.cel.holds(item, silent=condition.silent)
    return holds, f"{why} (of {of})"


def _failure(work: Settling, problem: str, found: Sequence[Unready]) -> NotSettled:
    lines = listed(work.kubectl, found, work.secrets)
    remedies = "; ".join(dict.fromkeys(each.remedy for each in found[:_NAMED]))
    return NotSettled(f"{problem}\n{lines}" if lines else problem, remedies)


def _too_late(work: Settling, verdict: Verdict | None, text: str) -> NotSettled:
    if verdict is None:
        return NotSettled(f"the cluster's API does not answer: {text}", "look at kubelet on the first master: journalctl -u kubelet")
    if verdict.waiting:
        return _failure(work, f"not ready after {work.timeout:.0f} s:", verdict.waiting)
    return NotSettled(f"no quiet within {work.timeout:.0f} s: {text}", "find out what keeps it busy; an operator that fails and tries again shows in its log")
