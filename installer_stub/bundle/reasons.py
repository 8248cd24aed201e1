"""Why an image is in a bundle: typed reasons, as JSON and as words. They name what stays from one build to the next.

::

    Recorded   a pod ran it: whose pod (the topmost owner), which container
    Gone       a pod ran it that was gone when the recording ended; its event is left
    Scanned    something in the cluster names it: which object, where in it
    Listed     a file or a label lists it: ``images.d/gpu.txt:3``
    Pulled     the cluster pulled it, and nothing that is left says for whom
    Attached   its upstream keeps it for an image that is here: what it is, and of what
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_OWNER: Final = re.compile(r"(?P<owner>(?:static pod|\S+) [^\s/]+/[^\s,]+), container (?P<container>.*)", re.DOTALL)
_NAMED: Final = re.compile(r"(?:static pod|\S+) (?P<namespace>[^\s/]+)/[^\s,]+")
_GONE: Final = re.compile(r"a pod that is gone, (?P<namespace>[^\s/]+)/(?P<name>.*)", re.DOTALL)
_PULLED: Final = "pulled by the cluster"


@dataclass(frozen=True, slots=True)
class Recorded:
    """``owner`` is ``Deployment shop/api`` or ``static pod kube-system/etcd``; ``container`` its container or image volume."""

    owner: str
    container: str

    def __str__(self) -> str:
        return f"{self.owner}, container {self.container}"


@dataclass(frozen=True, slots=True)
class Gone:
    """A pod's namespace and steady name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"a pod that is gone, {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Scanned:
    """``object`` is ``CronJob shop/nightly`` or ``helm release shop/web, hook smoke``; ``path`` leads into it."""

    object: str
    path: str

    def __str__(self) -> str:
        return f"{self.object}, at {self.path}"


@dataclass(frozen=True, slots=True)
class Listed:
    """``where`` is ``images.txt:3``, or says what else lists the image."""

    where: str

    def __str__(self) -> str:
        return self.where


@dataclass(frozen=True, slots=True)
class Pulled:
    """By the cluster."""

    def __str__(self) -> str:
        return _PULLED


@dataclass(frozen=True, slots=True)
class Attached:
    """``what`` is signature, attestation, SBOM or artifact; ``subject`` what it is of: a repository with a digest."""

    what: str
    subject: str

    def __str__(self) -> str:
        return f"{self.what} of {self.subject}"


Reason = Recorded | Gone | Scanned | Listed | Pulled | Attached
_KINDS: Final[tuple[type[Reason], ...]] = (Recorded, Gone, Scanned, Listed, Pulled, Attached)


def namespace_of(name: str) -> str:
    """Return the namespace in an owner's or object's name, ``Deployment shop/api``; empty for what has none."""
    found = _NAMED.fullmatch(name)
    return found["namespace"] if found else ""


def in_order(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Return the reasons, each once, those of the recording first: the order of the lock."""
    return tuple(sorted(set(reasons), key=_place))


def is_attached(reasons: Collection[Reason]) -> bool:
    """Tell whether something is here for no other reason than that its upstream keeps it for an image."""
    return bool(reasons) and all(isinstance(reason, Attached) for reason in reasons)


def _place(reason: Reason) -> tuple[int, str, tuple[str, ...]]:
    # Two reasons can read the same, for a name may hold a comma; a set has its own order each time, so the members decide then.
    return _KINDS.index(type(reason)), str(reason), tuple(getattr(reason, name) for name in type(reason).__dataclass_fields__)


def reason_to_json(reason: Reason) -> dict[str, str]:
    """Return a reason as JSON values."""
    fields = {name: str(getattr(reason, name)) for name in type(reason).__dataclass_fields__}
    return {"kind": type(reason).__name__.lower(), **fields}


def reason_from_json(value: Mapping[str, object]) -> Reason:
    """Return the reason in parsed JSON. Raises ValueError, KeyError, TypeError."""
    kind = next((kind for kind in _KINDS if kind.__name__.lower() == value["kind"]), None)
    if kind is None:
        raise ValueError(f"a reason of the kind {str(value['kind'])[:40]!r} is not known")
    names = tuple(kind.__dataclass_fields__)
    if set(value) != {"kind", *names} or not all(isinstance(value[name], str) for name in names):
        raise ValueError(f"a reason of the kind {kind.__name__.lower()} has {', '.join(names) or 'no more'}")
    return kind(*(str(value[name]) for name in names))


def reason_of_text(text: str) -> Reason:
    """Return what a lock of the first format said in words."""
    if found := _OWNER.fullmatch(text):
        return Recorded(found["owner"], found["container"])
    if found := _GONE.fullmatch(text):
        return Gone(found["namespace"], found["name"])
    return Pulled() if text == _PULLED else Listed(text)
