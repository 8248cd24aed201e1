"""What stands beside a cluster image in a registry: its snapshot and its recording, which refer to it.

* The snapshot is an OCI index whose ``subject`` is the cluster image. It lists the manifests of every image that was recorded, each with the
  reference it was asked for by, so that a registry which collects garbage keeps them. Indexes are not among them: of an image for
  many platforms only what was wanted was recorded, and registries take no index whose children they do not have.
* The recording is an artifact whose ``subject`` is the cluster image: the lock, the coverage, what sealing needs, the receipt of a
  rehearsal where there is one, and the bytes of those indexes.

Source: OCI image-spec, manifest.md "Guidelines for Artifact Usage", image-index.md ``subject`` and ``artifactType``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from bundler.errors import RecordingForeign
from bundler.steps import recorded, sealable
from bundler.steps.recorded import Recorded
from bundler.steps.sealable import Sealable
from bundler.travel.cluster_of import COMPRESSOR
from installer_stub.bundle import receipt as receipts
from installer_stub.bundle.cluster_files import EMPTY, EMPTY_CONFIG
from installer_stub.bundle.coverage import encode_coverage
from installer_stub.bundle.documents import encode_lock
from installer_stub.bundle.receipt import Receipt
from installer_stub.errors import BundleError
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import Manifest, descriptor_of
from registry_snapshot.push.pusher import Parcel
from registry_snapshot.store.bounded import read_blob
from registry_snapshot.store.closure import closure, read_manifest
from registry_snapshot.store.disk import DiskBlobStore

SNAPSHOT: Final = "application/vnd.airseal.snapshot.v1"
RECORDING: Final = "application/vnd.airseal.recording.v1"
REFERENCE: Final = "internal.airseal.reference"  # on a manifest of the snapshot: what it was asked for by
ROOT: Final = "internal.airseal.root"  # and the digest of the index that it is a part of, or its own
TITLE: Final = "org.opencontainers.image.title"
CREATED: Final = "org.opencontainers.image.created"
MADE_WITH: Final = "internal.airseal.compressor"

LOCK: Final = "application/vnd.airseal.images.lock.v1+json"
COVERAGE: Final = "application/vnd.airseal.coverage.v1+json"
RECORDED: Final = "application/vnd.airseal.recorded.v1+json"
SEALABLE: Final = "application/vnd.airseal.sealable.v1+json"
PROOF: Final = "application/vnd.airseal.proof.v1+json"
INDEX: Final = "application/vnd.airseal.index.v1+json"  # the bytes of an index, as they were recorded; by its own type it would be one
_NAMES: Final = {LOCK: "images.lock.json", COVERAGE: "coverage.json", RECORDED: "recorded.json", SEALABLE: "sealable.json", PROOF: "rehearsal.json"}
_MOST: Final = 64 << 20  # bytes of one document; a lock of 500 images has 200 KB


@dataclass(frozen=True, slots=True)
class Carried:
    """What travels with a cluster image. ``proof`` is of a rehearsal: which content it is for, and what it says."""

    sealable: Sealable
    recorded: Recorded
    proof: tuple[Digest, Receipt] | None = None
    compressor: str = COMPRESSOR

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms that were recorded for."""
        return tuple(map(Platform.parse, self.sealable.info.platforms))

    def parcels(self, subject: Descriptor, blobs: DiskBlobStore) -> tuple[Parcel, ...]:
        """Keep what refers to the image ``subject``, and return all that goes before it. Raises BlobUnknown, ManifestInvalid, StoreError."""
        images = {each.digest: each for each in images_of(self, blobs)}
        return (*map(Parcel, images.values()), Parcel(put_recording(self, subject, blobs)), Parcel(put_snapshot(self, subject, blobs)))


def images_of(carried: Carried, blobs: DiskBlobStore) -> tuple[Descriptor, ...]:
    """Return the manifests of all recorded images as the snapshot lists them. Raises BlobUnknown, ManifestInvalid."""
    found: dict[tuple[str, Digest], Descriptor] = {}
    for reference, root in carried.recorded.images:
        for part in closure(blobs, root, carried.platforms):
            if media_types.is_manifest(part.media_type):
                marks = {REFERENCE: str(reference), ROOT: str(root.digest)}
                found[str(reference), part.digest] = Descriptor(part.media_type, part.digest, part.size, part.platform, annotations=marks)
    return tuple(found[key] for key in sorted(found))


def put_snapshot(carried: Carried, subject: Descriptor, blobs: DiskBlobStore) -> Descriptor:
    """Keep the snapshot's index and return its descriptor. Raises BlobUnknown, ManifestInvalid, StoreError."""
    value = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_INDEX,
        "artifactType": SNAPSHOT,
        "manifests": [each.to_json() for each in images_of(carried, blobs)],
        "subject": _bare(subject),
        "annotations": {CREATED: _time(carried.recorded.time)},
    }
    return _put(blobs, value, media_types.OCI_INDEX)


def put_recording(carried: Carried, subject: Descriptor, blobs: DiskBlobStore) -> Descriptor:
    """Keep the recording's documents and manifest and return its descriptor. Raises BlobUnknown, ManifestInvalid, StoreError."""
    documents = {
        LOCK: encode_lock(carried.recorded.lock),
        COVERAGE: encode_coverage(carried.recorded.coverage),
        RECORDED: recorded.encode(carried.recorded),
        SEALABLE: sealable.encode(carried.sealable),
    }
    if carried.proof is not None:
        content, receipt = carried.proof
        documents[PROOF] = json.dumps({"content": str(content), "receipt": receipts.encode(receipt).decode()}).encode()
    layers = [Descriptor(kind, blobs.put(raw), len(raw), annotations={TITLE: _NAMES[kind]}) for kind, raw in documents.items()]
    layers += [Descriptor(INDEX, each.digest, each.size) for each in _indexes(carried, blobs)]
    blobs.put(EMPTY)
    value = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "artifactType": RECORDING,
        "config": EMPTY_CONFIG.to_json(),
        "layers": [layer.to_json() for layer in layers],
        "subject": _bare(subject),
        "annotations": {CREATED: _time(carried.recorded.time), MADE_WITH: carried.compressor},
    }
    return _put(blobs, value, media_types.OCI_MANIFEST)


def newest(referrers: Iterable[Descriptor]) -> Descriptor | None:
    """Return the recording that was made last, of all that refers to an image."""
    found = [each for each in referrers if each.artifact_type == RECORDING]
    return max(found, key=lambda each: (each.annotations.get(CREATED, ""), each.digest), default=None)


def read_recording(root: Descriptor, subject: Digest, blobs: DiskBlobStore) -> Carried:
    """Return what a recording's artifact holds; all of it is in the store. Raises RecordingForeign for what is none, or is of another image."""
    try:
        manifest = read_manifest(blobs, root)
        if not isinstance(manifest, Manifest) or manifest.artifact_type != RECORDING:
            raise _foreign(root, "is of another type")
        if manifest.subject is None or manifest.subject.digest != subject:
            raise _foreign(root, f"is of another image: {manifest.subject.digest if manifest.subject else 'it names none'}")
        raw = {kind: read_blob(blobs, layer.digest, _MOST) for layer in manifest.layers if (kind := layer.media_type) in _NAMES}
    except RegistryError as error:
        raise _foreign(root, f"cannot be read: {error.problem}") from None
    missing = [_NAMES[kind] for kind in _NAMES if kind not in raw and kind != PROOF]
    if missing:
        raise _foreign(root, f"lacks {', '.join(missing)}")
    kept, found = sealable.decode(raw[SEALABLE]), recorded.decode(raw[RECORDED])
    if kept is None or found is None:
        raise _foreign(root, "is of another version, or torn")
    if (encode_lock(found.lock), encode_coverage(found.coverage)) != (raw[LOCK], raw[COVERAGE]):
        raise _foreign(root, "says two different things of which images were recorded")
    return Carried(kept, found, _proof(raw.get(PROOF)), manifest.annotations.get(MADE_WITH, ""))


def _proof(raw: bytes | None) -> tuple[Digest, Receipt] | None:
    """Return the receipt; one that cannot be read is none, and the file says that nobody rehearsed it."""
    try:
        value = json.loads(raw or b"")
        return Digest.parse(str(value["content"])), receipts.decode(str(value["receipt"]).encode())
    except (ValueError, KeyError, TypeError, RecursionError, BundleError):
        return None


def _indexes(carried: Carried, blobs: DiskBlobStore) -> tuple[Descriptor, ...]:
    parts = (part for _, root in carried.recorded.images for part in closure(blobs, root, carried.platforms))
    found = {part.digest: part for part in parts if media_types.is_index(part.media_type)}
    return tuple(found[digest] for digest in sorted(found))


def _bare(descriptor: Descriptor) -> Mapping[str, object]:
    return Descriptor(descriptor.media_type, descriptor.digest, descriptor.size).to_json()


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _put(blobs: DiskBlobStore, value: Mapping[str, object], media_type: str) -> Descriptor:
    raw = json.dumps(value, separators=(",", ":")).encode()
    blobs.put(raw)
    return descriptor_of(raw, media_type)


def _foreign(root: Descriptor, why: str) -> RecordingForeign:
    return RecordingForeign(f"the recording {root.digest} {why}", "push the cluster image again from the machine that recorded it, with the same airseal")
