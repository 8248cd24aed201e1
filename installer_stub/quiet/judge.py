"""The judgement on a cluster: what is not as it is wanted, what can never be, and for how long nothing has happened. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from installer_stub.kube.pods import lacking_images, pods_of
from installer_stub.kube.scope import Scope
from installer_stub.kube.workloads import Unready, failed_pods, unready
from installer_stub.quiet.crash import Crash, crash_of, crashing_pods, final_crashes
from installer_stub.quiet.custom import undeployed, unsatisfied
from installer_stub.quiet.history import History, begin, proceed
from installer_stub.quiet.leases import SKEW, headless, leaders, longest
from installer_stub.quiet.look import PARTIAL, Look
from installer_stub.quiet.services import unanswered
from registry_snapshot.errors import DigestInvalid, ReferenceInvalid
from registry_snapshot.oci.reference import Reference

Object = Mapping[str, Any]
WHOLE: Final = Scope()
# Longer than the longest lease: by then one that nobody renews has been seen to be so, or somebody has taken it and shows.
_BEYOND: Final = SKEW + 2.0
# What people look for in the closing lines; the others are counted together.
_TOLD: Final = ("Pod", "Deployment", "StatefulSet", "DaemonSet", "Job", "PersistentVolumeClaim", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "APIService", "Lease")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of a cluster. ``floor``: the least seconds of quiet; 0: only what its leases ask for.

    ``excused`` are (kind, namespace, name) of what the bundle says may stay unready. ``images`` are those that its registry has;
    None: nobody knows.
    """

    floor: float = 0.0
    scope: Scope = WHOLE
    excused: Collection[tuple[str, str, str]] = ()
    images: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one look means, after those before it. Times in seconds."""

    waiting: tuple[Unready, ...]  # not as they are wanted, those that cannot become it among them
    outside: tuple[Unready, ...]  # not the business of this run, excused, or failed and nobody's: told, not waited for
    quiet: float  # nothing but heartbeats has changed for so long
    needed: float  # so long it has to last
    history: History
    watched: Mapping[str, int] = field(default_factory=Counter)  # objects by kind

    @property
    def failed(self) -> tuple[Unready, ...]:
        """Return what can never become ready."""
        return tuple(each for each in self.waiting if each.failed)

    def summary(self) -> str:
        """Return what was watched in one line: the kinds that people know, and how many others."""
        parts = [f"{self.watched[kind]} {_plural(kind, self.watched[kind])}" for kind in _TOLD if self.watched.get(kind)]
        others = {kind: count for kind, count in self.watched.items() if kind not in _TOLD}
        more = [f"{sum(others.values())} objects of {len(others)} other kinds"] if others else []
        return ", ".join([*parts, *more])


def judge(look: Look, history: History | None, wishes: Wishes, warnings: Iterable[Object] = ()) -> Verdict:
    """Return the verdict on ``look``. ``history`` is the last verdict's; ``warnings`` are events that explain what is unready."""
    objects, now = look.objects, look.now
    elections = leaders(objects)
    mine, outside = _split(look, wishes.scope, warnings)
    excused = [each for each in mine if (each.kind, each.namespace, each.name) in wishes.excused]
    mine = tuple(_finally(each, objects, wishes.images) for each in mine if each not in excused)
    looping = crashing_pods(objects, now)
    crashes = final_crashes(objects, now, coming=any((each.namespace, each.pod) not in looping for each in mine))
    waiting = [_crashing(each, objects, crashes) for each in mine]
    if not waiting:
        waiting += wishes.scope.split(headless(elections, now), objects)[0]
    after = begin(objects, look.glimpses, now) if history is None else proceed(history, objects, look.glimpses, now)
    return Verdict(
        tuple(waiting),
        (*outside, *excused, *failed_pods(objects)),
        after.quiet,
        max(wishes.floor, longest(elections, now) + _BEYOND),
        after,
        Counter(str(item.get("kind")) for item in objects),
    )


def _split(look: Look, scope: Scope, warnings: Iterable[Object]) -> tuple[Sequence[Unready], Sequence[Unready]]:
    """Return what is not ready and the business of this run, and what is not its business."""
    objects = look.objects
    ours, others = map(list, scope.split([*unready(objects, warnings), *unsatisfied(objects)], objects))
    # Neither a webhook nor a release of helm is in a namespace as a pod is: whose they are, their service or release tells.
    for namespace, each in (*unanswered(objects), *((each.namespace, each) for each in undeployed(objects))):
        (ours if scope.ownership.lives_in(namespace) else others).append(each)
    # An API that is away is named by itself, as ours or as another's, and hides only its own kinds.
    named = PARTIAL in look.doubt and any(each.kind == "APIService" for each in (*ours, *others))
    if look.doubt and not named:
        ours.append(Unready("API", "", "cluster", f"not all of it can be looked at: {look.doubt}"))
    return ours, others


def _finally(each: Unready, objects: Sequence[Object], images: Collection[str] | None) -> Unready:
    """Correct "can never be pulled" by what the bundle has: kubelet tries again within minutes, and what is not sealed never comes."""
    if images is None or not each.failed or each.kind in {"Job", "PersistentVolumeClaim", "Release"}:
        return each
    lacking = {_recorded(image) for item in objects if _is(item, each) for pod in pods_of(item, objects) for image in lacking_images(pod)}
    if not lacking:
        return each
    absent = sorted(lacking - set(images))
    if not absent:
        return replace(each, failed=False)
    return replace(each, reason=f"{each.reason}; not in the bundle: {', '.join(absent)}; list it in /cluster/images.txt and build again")


def _recorded(image: str) -> str:
    """Return the name under which a lock has an image: in full, and without the tag where a digest stands beside it."""
    try:
        reference = Reference.parse(image)
    except (ReferenceInvalid, DigestInvalid):
        return image
    return str(reference if reference.digest is None else Reference(reference.repository, None, reference.digest))


def _crashing(each: Unready, objects: Sequence[Object], crashes: Sequence[Crash]) -> Unready:
    crash = next((found for item in objects if _is(item, each) and (found := crash_of(crashes, pods_of(item, objects)))), None)
    return each if crash is None else replace(each, reason=str(crash), pod=crash.pod, failed=True)


def _is(item: Object, each: Unready) -> bool:
    metadata = item["metadata"]
    return (item.get("kind"), str(metadata.get("namespace") or ""), metadata["name"]) == (each.kind, each.namespace, each.name)


def _plural(kind: str, count: int) -> str:
    return kind if count == 1 else f"{kind}s"
