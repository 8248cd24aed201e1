"""Locks that a build is held to: what each tag has to mean, and what may not come or go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bundler.errors import LockDiffers, UsageError
from installer_stub.bundle.documents import decode_lock
from installer_stub.bundle.model import ImageLock
from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.reasons import is_attached
from installer_stub.errors import BundleError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.reference import Reference

ALL: Final = "all"
_MOST: Final = 256 << 20  # bytes of a lock
_ELF: Final = b"\x7fELF"


def read_lock(path: Path) -> ImageLock:
    """Return the lock in ``path``, an artifact or an images.lock.json. Raises UsageError."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_ELF))
            raw = b"" if head == _ELF else head + file.read(_MOST)
        if head != _ELF:
            return decode_lock(raw)
        with Bundle.open(path) as bundle:
            return bundle.lock
    except OSError as error:
        raise UsageError(f"--locked {path}: {error.strerror}", "name an artifact, or its images.lock.json") from None
    except BundleError as error:
        raise UsageError(f"--locked {path}: {error.problem}", "name an artifact, or its images.lock.json") from None


def held_names(path: Path | None) -> frozenset[Reference] | None:
    """Return the names in a lock that a build is held to: what registries keep for images besides these is none of it. Raises UsageError."""
    return frozenset(image.reference for image in read_lock(path).images) if path is not None else None


def pins(lock: ImageLock | None, update: Sequence[str] = ()) -> dict[Reference, Descriptor]:
    """Return what tags mean by ``lock``, but those of images that are to be asked anew.

    ``update`` are references, repositories with their registry, or ``all``. With it, signatures and the like are asked for anew, all of them:
    whoever signs an image again moves the tag of its signatures.
    """
    if lock is None or ALL in update:
        return {}
    return {
        image.reference: image.descriptor
        for image in lock.images
        if image.reference.tag and image.reference.digest is None and not (update and is_attached(image.reasons)) and not {str(image.reference), str(image.reference.repository)} & set(update)
    }


def check_update(update: Sequence[str], lock: ImageLock | None) -> None:
    """Raise UsageError for a name that the last recording has not: a slip of the hand would update nothing."""
    known = {text for image in (lock.images if lock else ()) for text in (str(image.reference), str(image.reference.repository))}
    for name in update:
        if name != ALL and name not in known:
            raise UsageError(f"--update {name}: the last recording of this name and version has no such image", "airseal coverage NAME:VERSION lists them; --update all asks for every one anew")


def check_locked(wanted: ImageLock, found: ImageLock) -> None:
    """Raise LockDiffers, which shows the difference, unless both have the same images under the same names."""
    if lines := list(difference(wanted, found)):
        shown = "\n".join(f"  {line}" for line in lines[:50]) + (f"\n  and {len(lines) - 50} more" if len(lines) > 50 else "")
        raise LockDiffers(f"the build would differ from its lock:\n{shown}", "build without --locked, look at the difference, and keep the new lock")


def difference(wanted: ImageLock, found: ImageLock) -> Iterator[str]:
    """Yield one line for each image that came, went or became another one."""
    before = {image.reference: image.descriptor.digest for image in wanted.images}
    after = {image.reference: image.descriptor.digest for image in found.images}
    for reference in sorted({*before, *after}, key=str):
        old, new = before.get(reference), after.get(reference)
        if old is None:
            yield f"+ {reference} {new}"
        elif new is None:
            yield f"- {reference} {old}"
        elif old != new:
            yield f"~ {reference} {old} -> {new}"
