"""What is no plain image: artifacts, charts, signatures, odd digests, odd manifests. Made in a real store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import descriptor_of
from registry_snapshot.store.disk import DiskBlobStore

SIGNATURE = "application/vnd.example.signature.v1"
SBOM = "application/vnd.example.sbom.v1+json"


def put_as(blobs: DiskBlobStore, media_type: str, data: bytes, algorithm: str = "sha256") -> Descriptor:
    """Keep ``data`` under a digest of ``algorithm``."""
    with blobs.ingest(Digest.of(data, algorithm)) as writer:
        writer.write(data)
        return Descriptor(media_type, writer.commit(), len(data))


def empty(blobs: DiskBlobStore, algorithm: str = "sha256") -> Descriptor:
    """Keep the empty descriptor's content: image-spec manifest.md, "Guidance for an Empty Descriptor"."""
    return put_as(blobs, media_types.OCI_EMPTY, b"{}", algorithm)


def make_artifact(
    blobs: DiskBlobStore,
    layers: Sequence[Descriptor] = (),
    *,
    config: Descriptor | None = None,
    subject: Descriptor | None = None,
    annotations: Mapping[str, str] | None = None,
    artifact_type: str = "",
    algorithm: str = "sha256",
    more: Mapping[str, object] | None = None,
) -> Descriptor:
    """Make a manifest; ``more`` are fields that stand in no specification."""
    value: dict[str, object] = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST}
    if artifact_type:
        value["artifactType"] = artifact_type
    value |= {"config": (config or empty(blobs, algorithm)).to_json(), "layers": [layer.to_json() for layer in layers]}
    if subject is not None:
        value["subject"] = subject.to_json()
    if annotations:
        value["annotations"] = dict(annotations)
    return put_manifest(blobs, {**value, **(more or {})}, media_types.OCI_MANIFEST, algorithm)


def list_of(
    blobs: DiskBlobStore, manifests: Sequence[Descriptor], *, algorithm: str = "sha256", more: Mapping[str, object] | None = None
) -> Descriptor:
    """Make an index."""
    value = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [item.to_json() for item in manifests]}
    return put_manifest(blobs, {**value, **(more or {})}, media_types.OCI_INDEX, algorithm)


def put_manifest(blobs: DiskBlobStore, value: object, media_type: str, algorithm: str = "sha256") -> Descriptor:
    raw = json.dumps(value).encode()
    put_as(blobs, media_type, raw, algorithm)
    return descriptor_of(raw, media_type, algorithm)
