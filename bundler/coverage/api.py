"""The API of the temporary cluster, whole: every kind that lists, custom ones too, a few kinds at a time.

Not listed: what names no container (events, leases, roles, nodes with the images they hold), copies that a controller keeps
of another object, and Secrets. Of those only helm's releases are read; values of others are nobody's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from bundler.coverage.candidates import Found
from bundler.coverage.helm import (
    Release,
    UnreadableReleaseError,
    images_of_release,
    is_release,
    latest,
    read_release,
)
from bundler.coverage.runtime_classes import KIND, handlers_of, wanted
from bundler.coverage.walk import Object, images_of, object_name
from installer_stub.bundle.reasons import Scanned
from installer_stub.errors import ClusterError, HostUnreachable, InstallerError
from installer_stub.host.command import CommandResult
from installer_stub.kube.owners import owner_name

_AT_ONCE: Final = 16  # kinds in one request: one start of kubectl, and an answer of a few megabytes
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")
_SKIPPED: Final = frozenset(
    {
        "secrets", "events", "events.events.k8s.io", "nodes", "endpoints", "endpointslices.discovery.k8s.io", "componentstatuses",
        "leases.coordination.k8s.io", "controllerrevisions.apps", "bindings", "resourcequotas", "limitranges", "csinodes.storage.k8s.io",
        "volumeattachments.storage.k8s.io", "packagemanifests.packages.operators.coreos.com",
    }
)  # fmt: skip
_SKIPPED_GROUPS: Final = (".metrics.k8s.io", ".rbac.authorization.k8s.io", ".flowcontrol.apiserver.k8s.io", ".certificates.k8s.io")
# Copies: their owner, which is read, says the same, or said it in an earlier revision.
_COPIES: Final = frozenset({("ReplicaSet", "Deployment"), ("Job", "CronJob"), ("ControllerRevision", "")})
_RELEASES: Final = ("secrets", "--field-selector=type=helm.sh/release.v1")


class Api(Protocol):
    """The part of Kubectl that is used."""

    def run(self, *arguments: str, check: bool = True) -> CommandResult:
        """Run kubectl."""

    def items(self, *arguments: str) -> tuple[Object, ...]:
        """Return the items of a list."""


@dataclass(slots=True)
class Scan:
    """What was found; what could not be looked at, with the reason in words; the last revision of each release of helm.

    ``unchosen`` is what charts name and nothing renders; ``classes`` are handlers of runtime classes by name, ``wanted`` where each class is wanted, ``handlers`` those that hosts have.
    """

    found: list[Found] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    releases: list[Release] = field(default_factory=list)
    unchosen: list[Found] = field(default_factory=list)
    classes: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, list[Scanned]] = field(default_factory=dict)
    handlers: frozenset[str] | None = None


def scan(api: Api, known: Mapping[object, Object]) -> Scan:
    """Return all that the API's objects name. ``known`` are pods' owners by uid. Raises HostUnreachable, ClusterError."""
    result = Scan()
    for items in _lists(api, _kinds(api, result), result):
        for item in items:
            if is_release(item):
                _release(item, result)
            elif not _is_copy(item):
                name = owner_name(item, known) if item.get("kind") == "Pod" else object_name(item)
                result.found += images_of(item, name)
                _runtime(item, name, result)
    for items in _list(api, result, "nodes", "nodes"):
        result.handlers = handlers_of(items)
    result.releases = list(latest(result.releases))
    for release in result.releases:
        try:
            result.found += list(images_of_release(release))
        except UnreadableReleaseError as error:
            result.unread[release.title] = str(error)
    return result


def _runtime(item: Object, name: str, result: Scan) -> None:
    """Note a class of runtimes, and who wants one."""
    if item.get("kind") == KIND:
        result.classes[str((item.get("metadata") or {}).get("name"))] = str(item.get("handler") or "")
        return
    for wish, place in wanted(item, name):
        result.wanted.setdefault(wish, []).append(place)


def _kinds(api: Api, result: Scan) -> tuple[str, ...]:
    """Return every kind that can be listed. An API that does not answer is noted; the others are listed all the same."""
    said = api.run("api-resources", "--verbs=list", "--output=name", check=False)
    names = sorted({name for name in said.stdout.split() if _NAME.fullmatch(name)})
    if not names:
        raise ClusterError(f"kubectl api-resources names no kind: {said.stderr[:300]}", "look at the API server of the temporary cluster: build with --keep-cluster")
    if not said.ok:
        result.unread["a part of the API"] = said.stderr.strip()[:300]
    return tuple(name for name in names if name not in _SKIPPED and not name.endswith(_SKIPPED_GROUPS))


def _lists(api: Api, kinds: Sequence[str], result: Scan) -> Iterator[tuple[Object, ...]]:
    for at in range(0, len(kinds), _AT_ONCE):
        some = kinds[at : at + _AT_ONCE]
        try:
            yield api.items(",".join(some), "--all-namespaces")
        except HostUnreachable:
            raise
        except InstallerError:  # one of them: which, each for itself says
            for kind in some:
                yield from _list(api, result, kind, kind)
    yield from _list(api, result, "releases of helm", *_RELEASES)


def _list(api: Api, result: Scan, what: str, *arguments: str) -> Iterator[tuple[Object, ...]]:
    try:
        yield api.items(*arguments, "--all-namespaces")
    except HostUnreachable:
        raise
    except InstallerError as error:
        result.unread[what] = error.problem[:300]


def _is_copy(item: Object) -> bool:
    owners = [str(owner.get("kind")) for owner in (item.get("metadata") or {}).get("ownerReferences") or () if isinstance(owner, Mapping)]
    kind = str(item.get("kind"))
    if kind == "Pod":  # its image was recorded; what its owner says is the same from one build to the next
        return bool(owners) and "Node" not in owners
    return (kind, "") in _COPIES or any((kind, owner) in _COPIES for owner in owners)


def _release(item: Object, result: Scan) -> None:
    try:
        result.releases.append(read_release(item))
    except UnreadableReleaseError as error:
        metadata = item.get("metadata") or {}
        result.unread[f"helm release in {item.get('kind')} {metadata.get('namespace')}/{metadata.get('name')}"] = str(error)


