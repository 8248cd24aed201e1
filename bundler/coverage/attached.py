"""Signatures, attestations and bills of materials that upstreams keep for what was recorded: taken along, and told (ADR 0030)."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace
from typing import Final, Protocol

from bundler.coverage.cover import Covered
from installer_stub.bundle.reasons import Attached, Reason
from installer_stub.phases.reporter import Reporter
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.attached import Attachments

_SHOWN: Final = 20  # images of which it is told that they could not be asked
_MOST: Final = 1000  # characters of a line of ``unread``: registries may be wordy


class Attaches(Protocol):
    """The part of a Recorder that is used."""

    def attach(self, only: Collection[Reference] | None = None) -> Attachments:
        """Record what upstreams keep for what is recorded."""


def with_attached(source: Attaches, covered: Covered, reporter: Reporter, *, only: Collection[Reference] | None = None) -> Covered:
    """Return ``covered`` with what upstreams keep for its images; what could not be asked, or was left out, is among ``unread``.

    ``only`` are names besides which nothing is taken. Raises StoreError.
    """
    began = time.monotonic()
    found = source.attach(only)
    reasons: dict[Reference, Collection[Reason]] = dict(covered.reasons)
    for each in found.taken:
        reasons[each.reference] = {*reasons.get(each.reference, ()), Attached(each.what, str(each.subject))}
    reporter.step(f"upstreams keep {len(found.taken)} signatures, attestations and the like for these images ({time.monotonic() - began:.1f} s)")
    for missed in found.missed[:_SHOWN]:
        reporter.step(f"not known, or not taken, of what is kept for {missed.image}: {missed.why}")
    if len(found.missed) > _SHOWN:
        reporter.step(f"and {len(found.missed) - _SHOWN} more of these")
    unread = dict.fromkeys(f"{kept_for(missed.image)}{missed.why}"[:_MOST] for missed in found.missed)
    return replace(covered, reasons=reasons, coverage=replace(covered.coverage, unread=(*covered.coverage.unread, *unread)))


def kept_for(image: Reference) -> str:
    """Return how a line of ``unread`` begins that says what of this image is not known."""
    return f"what is kept for {image}: "

