"""The lock of a recording: reference → digest → why, as it goes into the artifact."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from installer_stub.bundle.model import ImageLock, LockedImage
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import DOCKER_CONFIG, OCI_CONFIG
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.journal import LISTED
from registry_snapshot.record.snapshot import RecordedImage, Snapshot
from registry_snapshot.store.base import BlobReader
from registry_snapshot.store.closure import closure, holds_others

PULLED = "pulled by the cluster"


def lock_of(
    snapshot: Snapshot, blobs: BlobReader, platforms: tuple[Platform, ...], uses: Mapping[Reference, Collection[str]]
) -> ImageLock:
    """Return the lock. Every digest that a runtime may report for an image is in it. Raises BlobUnknown, ManifestInvalid."""
    return ImageLock(
        tuple(
            LockedImage(
                image.reference,
                image.descriptor,
                tuple(dict.fromkeys(_names(closure(blobs, image.descriptor, platforms)))),
                _reasons(image, uses.get(image.reference, ())),
            )
            for image in snapshot.images
        )
    )


def all_blobs(roots: Collection[Descriptor], blobs: BlobReader, platforms: tuple[Platform, ...]) -> dict[Digest, Descriptor]:
    """Return every blob that ``roots`` need, once, by digest."""
    return {part.digest: part for root in roots for part in closure(blobs, root, platforms)}


def _names(parts: Collection[Descriptor]) -> list[Digest]:
    # containerd reports the manifest's or the index's digest, docker and CRI's image list the config's.
    return [part.digest for part in parts if holds_others(part) or part.media_type in {OCI_CONFIG, DOCKER_CONFIG}]


def _reasons(image: RecordedImage, uses: Collection[str]) -> tuple[str, ...]:
    """Return why the image is here. Addresses of the temporary cluster are left out: they differ from build to build."""
    listed = {reason.by for reason in image.reasons if reason.how == LISTED}
    pulled = {PULLED} if any(reason.how != LISTED for reason in image.reasons) else set()
    return (*sorted(uses), *sorted(listed), *pulled)
