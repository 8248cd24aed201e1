"""Snapshot: the images a build really used, closed and verified."""

from __future__ import annotations

from dataclasses import dataclass

from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.reference import Reference


@dataclass(frozen=True, slots=True, order=True)
class Reason:
    """Why an image is in a snapshot: ``by`` a client's address or what listed it, ``how`` HEAD, GET or LISTED."""

    by: str
    how: str


@dataclass(frozen=True, slots=True)
class RecordedImage:
    """One image under the name it was asked for. ``total_bytes`` is its closure's, with everything it shares."""

    reference: Reference
    descriptor: Descriptor
    reasons: tuple[Reason, ...] = ()
    platforms: tuple[Platform, ...] = ()
    total_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Images sorted by reference."""

    images: tuple[RecordedImage, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", tuple(sorted(self.images, key=lambda image: str(image.reference))))
