"""Settle: wait until a cluster has become what its manifests ask for, and stays so."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from installer_stub.errors import ClusterError, CommandFailed, NotSettled
from installer_stub.kube.kubectl import Kubectl, Object
from installer_stub.kube.scope import Scope
from installer_stub.kube.workloads import KINDS, Unready, unready

# Two looks in a row: between a Job's end and the pod that its operator makes then, everything is ready for a moment.
STABLE_LOOKS: Final = 2
WHOLE: Final = Scope()
_INTERVAL: Final = 2.0  # seconds
_NAMED: Final = 3  # as many are named while we wait; the error names all


class Reporter(Protocol):
    """Who is told what is waited for."""

    def step(self, text: str) -> None:
        """Say that something begins or happened."""


def look(kubectl: Kubectl, scope: Scope = WHOLE) -> tuple[tuple[Unready, ...], tuple[Unready, ...]]:
    """Return what is not ready now, and what is not ready either but outside ``scope``.

    Raises CommandFailed, ClusterError when the API does not answer.
    """
    objects = kubectl.items(KINDS, "--all-namespaces")
    if not unready(objects):
        return (), ()
    events: tuple[Object, ...] = kubectl.items("events", "--all-namespaces", "--field-selector=type=Warning")
    return scope.split(unready(objects, events), objects)


def _failure(problem: str, found: Sequence[Unready]) -> NotSettled:
    lines = "\n".join(f"  - {each}" for each in found)
    remedies = "; ".join(dict.fromkeys(each.remedy for each in found[:_NAMED]))
    return NotSettled(f"{problem}\n{lines}" if lines else problem, remedies)


def _summary(found: Sequence[Unready]) -> str:
    """Say what is waited for in one line: how many, the first few by name, and where they stand."""
    names = ", ".join(f"{each.kind} {each.name} ({each.reason.partition(':')[0]})" for each in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"waiting for {names}{more}"


def settle(
    kubectl: Kubectl,
    *,
    timeout: float,
    quiet: Callable[[], bool],
    reporter: Reporter,
    scope: Scope = WHOLE,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Unready, ...]:
    """Return once nothing of ``scope`` is unready in STABLE_LOOKS looks in a row while ``quiet()`` holds.

    Returned is what is not ready outside of it. ``timeout`` in seconds. Raises NotSettled, which names every workload, its pod, its last event and what to look at:
    at once where something has failed for good, otherwise when the time is over.
    """
    deadline = clock() + timeout
    stable, said = 0, ""
    while True:
        try:
            (found, outside), problem = look(kubectl, scope), ""
        except (CommandFailed, ClusterError) as error:
            found, outside, problem = (), (), error.problem  # the API server restarts now and then: only time tells
        if any(each.failed for each in found):
            raise _failure("these cannot become ready any more:", [each for each in found if each.failed])
        calm = quiet() if not found and not problem else False
        stable = stable + 1 if calm else 0
        if stable >= STABLE_LOOKS:
            return outside
        text = problem or (_summary(found) if found else "" if calm else "waiting until no more images are pulled")
        if text and text != said:
            reporter.step(text)
            said = text
        if clock() >= deadline:
            if problem:
                raise NotSettled(f"the cluster's API does not answer: {problem}", "look at kubelet on the first master: journalctl -u kubelet")
            raise _failure(f"not ready after {timeout:.0f} s:" if found else f"images were still pulled after {timeout:.0f} s", found)
        sleep(_INTERVAL)
