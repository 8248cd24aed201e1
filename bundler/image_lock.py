"""The lock of a recording: reference → digest → why, as it goes into the artifact."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from installer_stub.bundle.model import ImageLock, LockedImage
from installer_stub.bundle.reasons import Pulled, Reason, in_order
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.snapshot import Snapshot
from registry_snapshot.store.base import BlobReader
from registry_snapshot.store.closure import closure, identities


def lock_of(
    snapshot: Snapshot, blobs: BlobReader, platforms: tuple[Platform, ...], uses: Mapping[Reference, Collection[Reason]]
) -> ImageLock:
    """Return the lock. Every digest that a runtime may report for an image is in it. Raises BlobUnknown, ManifestInvalid.

    ``uses`` say why each is here. That the cluster pulled one is said only where they do not know: who asked the recorder, and
    how often, differs from build to build.
    """
    return ImageLock(
        tuple(
            LockedImage(
                image.reference,
                image.descriptor,
                identities(closure(blobs, image.descriptor, platforms)),
                in_order(uses.get(image.reference, ())) or (Pulled(),),
                image.total_bytes,
            )
            for image in snapshot.images
        )
    )


def all_blobs(roots: Collection[Descriptor], blobs: BlobReader, platforms: tuple[Platform, ...]) -> dict[Digest, Descriptor]:
    """Return every blob that ``roots`` need, once, by digest."""
    return {part.digest: part for root in roots for part in closure(blobs, root, platforms)}
