"""Snapshot: the images a build really used, closed and verified, and its lock file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.reference import Reference

LOCK_VERSION = 1


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

    def to_json(self) -> dict[str, object]:
        """Return what the lock file says about it."""
        return {
            "digest": str(self.descriptor.digest),
            "mediaType": self.descriptor.media_type,
            "size": self.descriptor.size,
            "totalSize": self.total_bytes,
            "platforms": [str(platform) for platform in self.platforms],
            "askedBy": [{"by": reason.by, "how": reason.how} for reason in self.reasons],
        }

    @classmethod
    def from_json(cls, name: str, value: object) -> Self:
        """Return the image that a lock file has under ``name``. Raises RegistryError."""
        if not isinstance(value, dict):
            raise _unreadable(name)
        platforms, asked, total = value.get("platforms"), value.get("askedBy"), value.get("totalSize")
        if not isinstance(platforms, list) or not isinstance(asked, list) or not isinstance(total, int):
            raise _unreadable(name)
        if not all(isinstance(item, dict) for item in asked):
            raise _unreadable(name)
        return cls(
            Reference.parse(name),
            Descriptor.from_json(value),
            tuple(Reason(str(item.get("by")), str(item.get("how"))) for item in asked),
            tuple(Platform.parse(str(text)) for text in platforms),
            total,
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Images sorted by reference; the same images make the same lock file."""

    images: tuple[RecordedImage, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", tuple(sorted(self.images, key=lambda image: str(image.reference))))

    def lock_json(self) -> dict[str, object]:
        """Return the lock file's JSON values: reference → digest, media type, sizes, platforms, who asked."""
        return {"version": LOCK_VERSION, "images": {str(image.reference): image.to_json() for image in self.images}}

    @classmethod
    def from_lock(cls, value: object) -> Self:
        """Return the snapshot in a lock file's parsed JSON. Raises RegistryError."""
        if not isinstance(value, dict) or value.get("version") != LOCK_VERSION or not isinstance(value.get("images"), dict):
            raise RegistryError("this is no lock file of images, or of another version", "make it again with this version")
        return cls(tuple(RecordedImage.from_json(str(name), entry) for name, entry in value["images"].items()))


def _unreadable(name: str) -> RegistryError:
    return RegistryError(f"the lock file's entry of {name[:200]} cannot be understood", "make it again with this version")
