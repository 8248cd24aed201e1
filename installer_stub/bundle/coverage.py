"""``airseal/coverage.json``: what a build saw that looks like an image and is not in the bundle, and why not.

What is in it, and why, the lock says. Times are in neither: the same build gives the same bytes. Where the build was held to a policy,
it says, too, which key has signed each image.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from installer_stub.bundle.canonical import SEALED_AGAIN, parse, refusing, write
from installer_stub.bundle.names import COVERAGE
from installer_stub.bundle.reasons import Scanned, in_order, reason_from_json, reason_to_json
from installer_stub.errors import BundleError
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference

_FINGERPRINT: Final = re.compile(r"sha256:[0-9a-f]{64}")
FORMAT: Final = "airseal.coverage/1"
WITH_SIGNATURES: Final = "airseal.coverage/2"  # of a build that was held to a policy of signatures


class Answer(StrEnum):
    """What the registry said of a name that is not in the bundle."""

    ABSENT = "absent"  # there is no such image
    UNKNOWN = "could not tell"  # no answer, or none without a login
    ELSEWHERE = "for other platforms"  # it is there, and has nothing for the hosts of this bundle
    UNCHOSEN = "in a branch of a chart that no value chose"  # it is there, and nothing that was rendered names it


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Something that looks like an image, what its registry said, and where it stands."""

    reference: Reference
    answer: Answer
    places: tuple[Scanned, ...]


@dataclass(frozen=True, slots=True)
class Blocked:
    """An image that a line ``where`` keeps out, with the reason given there; ``places`` name it all the same."""

    reference: Reference
    reason: str
    where: str
    places: tuple[Scanned, ...] = ()


@dataclass(frozen=True, slots=True)
class LackingRuntime:
    """A RuntimeClass that ``places`` want and no host of the build could run; ``handler`` is empty where there is no such class."""

    name: str
    handler: str
    places: tuple[Scanned, ...]

    def __str__(self) -> str:
        why = f"no host of the build has its handler {self.handler!r}" if self.handler else "there is no such class"
        return f"RuntimeClass {self.name}: {why}; wanted by {'; '.join(map(str, self.places))}"


@dataclass(frozen=True, slots=True)
class Vouched:
    """Why an image satisfied the policy: ``key`` signed it (the fingerprint of ``Signatures``), or ``unsigned`` is why nobody has to."""

    reference: Reference
    key: str = ""
    unsigned: str = ""

    def __str__(self) -> str:
        return f"{self.reference}: " + (f"signed by {self.key}" if self.key else f"nobody has to sign it: {self.unsigned}")


@dataclass(frozen=True, slots=True)
class Signatures:
    """What the build was held to: the digest of the policy's file, and every image, sorted by reference.

    A key's fingerprint is the SHA-256 of its SubjectPublicKeyInfo in DER, as ``sha256:HEX``.
    """

    policy: Digest
    images: tuple[Vouched, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is not in the bundle. ``unread`` are kinds of objects, and releases, that could not be looked at.

    ``runtimes`` are what pods want to be run by and nobody brought; the document speaks of them where there are any. ``signatures`` is
    None for a build without a policy.
    """

    unresolved: tuple[Unresolved, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    unread: tuple[str, ...] = ()
    runtimes: tuple[LackingRuntime, ...] = ()
    signatures: Signatures | None = None


def encode_coverage(coverage: Coverage) -> bytes:
    """Return the document: the same bytes for the same values, in whatever order they come."""
    unresolved = [{"reference": str(each.reference), "answer": str(each.answer), "places": _places(each.places)} for each in coverage.unresolved]
    blocked = [
        {"reference": str(each.reference), "reason": each.reason, "where": each.where, "places": _places(each.places)} for each in coverage.blocked
    ]
    runtimes = [{"name": each.name, "handler": each.handler, "places": _places(each.places)} for each in coverage.runtimes]
    value: dict[str, object] = {
        "format": FORMAT if coverage.signatures is None else WITH_SIGNATURES,
        "unresolved": _sorted(unresolved, "reference"),
        "blocked": _sorted(blocked, "reference", "where"),
        "unread": sorted(set(coverage.unread)),
    }
    return write(value | ({"runtimes": _sorted(runtimes, "name")} if runtimes else {}) | signatures_json(coverage.signatures))


def signatures_json(signatures: Signatures | None) -> dict[str, object]:
    """Return the member ``signatures`` of the document; nothing where there is none."""
    if signatures is None:
        return {}
    images = [{"reference": str(each.reference), "key": each.key, "unsigned": each.unsigned} for each in signatures.images]
    return {"signatures": {"policy": str(signatures.policy), "images": _sorted(images, "reference")}}


def decode_coverage(raw: bytes) -> Coverage:
    """Return what the document says; bytes that ``encode_coverage`` would not write are refused. Raises BundleError."""
    value = parse(raw, COVERAGE, FORMAT, WITH_SIGNATURES)
    with refusing(COVERAGE):
        coverage = Coverage(
            tuple(Unresolved(Reference.parse(each["reference"]), Answer(each["answer"]), _scanned(each["places"])) for each in value["unresolved"]),
            tuple(Blocked(Reference.parse(each["reference"]), str(each["reason"]), str(each["where"]), _scanned(each["places"])) for each in value["blocked"]),
            tuple(str(each) for each in value["unread"]),
            tuple(LackingRuntime(str(each["name"]), str(each["handler"]), _scanned(each["places"])) for each in value.get("runtimes", ())),
            _signatures(value["signatures"]) if value["format"] == WITH_SIGNATURES else None,
        )
        written = encode_coverage(coverage)
    if written != raw:
        raise BundleError(f"{COVERAGE} says more, or in another order, than it has to", SEALED_AGAIN)
    return coverage


def _signatures(value: Mapping[str, Any]) -> Signatures:
    images = tuple(Vouched(Reference.parse(each["reference"]), str(each["key"]), str(each["unsigned"])) for each in value["images"])
    if any(bool(each.key) == bool(each.unsigned) or (each.key and not _FINGERPRINT.fullmatch(each.key)) for each in images):
        raise ValueError("an image has a key that signed it, or a reason why none has to")
    if len({each.reference for each in images}) < len(images):
        raise ValueError("an image is named twice")
    return Signatures(Digest.parse(value["policy"]), images)


def _sorted(values: Iterable[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    """Sort by the members ``names``; what has them in common by all of it, so that there is one order."""
    return sorted(values, key=lambda value: (*(value[name] for name in names), json.dumps(value)))


def _places(places: Iterable[Scanned]) -> list[dict[str, str]]:
    return [reason_to_json(place) for place in in_order(places)]


def _scanned(values: Iterable[Mapping[str, object]]) -> tuple[Scanned, ...]:
    places = tuple(reason_from_json(value) for value in values)
    if not all(isinstance(place, Scanned) for place in places):
        raise ValueError("a place is where something was scanned")
    return tuple(place for place in places if isinstance(place, Scanned))
