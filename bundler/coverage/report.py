"""What a bundle holds and why: one report, as a table for people and as JSON for machines; ``page`` makes it a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from installer_stub.bundle.coverage import Coverage, signatures_json
from installer_stub.bundle.model import ImageLock, LockedImage
from installer_stub.bundle.reasons import Attached, Gone, Listed, Pulled, Recorded, Scanned, reason_to_json
from installer_stub.ui.transfer import size as readable
from registry_snapshot.oci.reference import Reference

_NOT_SCANNED: Final = "this bundle was built without a scan: what its cluster's API named and nobody pulled is not known"


@dataclass(frozen=True, slots=True)
class Report:
    """``title`` is ``shop:1.4.0``. ``coverage`` is None for a bundle that was built without a scan.

    ``first_seen`` says when the recorder was first asked for an image, in seconds since 1970, where that is still known: it
    is no part of the bundle, whose bytes do not depend on the day.
    """

    title: str
    lock: ImageLock
    coverage: Coverage | None
    first_seen: Mapping[Reference, float]

    @property
    def images(self) -> tuple[LockedImage, ...]:
        """The images, by reference."""
        return tuple(sorted(self.lock.images, key=lambda image: str(image.reference)))

    def when(self, reference: Reference) -> str:
        """Return when an image was first asked for, in UTC, or an empty text."""
        seconds = self.first_seen.get(reference)
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if seconds is not None else ""


def kind_of(image: LockedImage) -> str:
    """Return how an image came in: the surest of its reasons."""
    kinds = {type(reason) for reason in image.reasons}
    if kinds & {Recorded, Gone, Pulled}:
        return "recorded"
    return "listed" if Listed in kinds else "scanned" if Scanned in kinds else "attached" if Attached in kinds else "recorded"


def table(report: Report) -> Iterator[str]:
    """Yield a line for every image: its name, its size with all that it shares, how it came in and why; then what is not in."""
    images = report.images
    width = max((len(str(image.reference)) for image in images), default=0)
    for image in images:
        reasons = [str(reason) for reason in image.reasons]
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        size = readable(image.size) if image.size else ""
        yield f"{image.reference!s:{width}}  {size:>9}  {kind_of(image):8}  {reasons[0] if reasons else ''}{more}"
    yield totals(report)
    yield from left_out(report)


def totals(report: Report) -> str:
    """Return one line of figures."""
    kinds = Counter(kind_of(image) for image in report.images)
    attached = f"; {kinds['attached']} signatures and the like" if kinds["attached"] else ""
    return f"{len(report.images) - kinds['attached']} images: " + ", ".join(f"{kinds[kind]} {kind}" for kind in ("recorded", "scanned", "listed")) + attached


def left_out(report: Report) -> Iterator[str]:
    """Yield a line for everything that was seen and is not in the bundle."""
    if report.coverage is None:
        yield _NOT_SCANNED
        return
    for each in report.coverage.unresolved:
        yield f"not in, {each.answer}: {each.reference}, named by {'; '.join(map(str, each.places))}"
    for blocked in report.coverage.blocked:
        named = f", named by {'; '.join(map(str, blocked.places))}" if blocked.places else ", and nothing names it"
        yield f"kept out: {blocked.reference} ({blocked.where}: {blocked.reason}){named}"
    for what in report.coverage.unread:
        yield f"not looked through: {what}"
    for runtime in report.coverage.runtimes:
        yield f"could not run on the build's hosts: {runtime}"


def report_json(report: Report) -> dict[str, object]:
    """Return the report as JSON values. Sizes in bytes, with all that an image shares."""
    coverage = report.coverage or Coverage()
    return {
        "title": report.title,
        "scanned": report.coverage is not None,
        "images": [
            {
                "reference": str(image.reference),
                "digest": str(image.descriptor.digest),
                "size": image.size,
                "how": kind_of(image),
                "firstSeen": report.when(image.reference),
                "reasons": [reason_to_json(reason) for reason in image.reasons],
            }
            for image in report.images
        ],
        "unresolved": [
            {"reference": str(each.reference), "answer": str(each.answer), "places": [reason_to_json(place) for place in each.places]}
            for each in coverage.unresolved
        ],
        "blocked": [
            {"reference": str(each.reference), "reason": each.reason, "where": each.where, "places": [reason_to_json(place) for place in each.places]}
            for each in coverage.blocked
        ],
        "unread": list(coverage.unread),
        "runtimes": [
            {"name": each.name, "handler": each.handler, "places": [reason_to_json(place) for place in each.places]} for each in coverage.runtimes
        ],
        **signatures_json(coverage.signatures),
    }
