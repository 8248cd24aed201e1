"""Manifest and Index: read-only views over raw bytes. The bytes are the truth; nothing here re-encodes them.

Source: OCI image-spec manifest.md and image-index.md; Docker schema 2 has the same shape.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from registry_snapshot.errors import ManifestInvalid
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor, Platform, parse_annotations, parse_text
from registry_snapshot.oci.digest import Digest

MAX_MANIFEST_BYTES = 4 * 1024 * 1024  # containerd rejects larger ones; OCI distribution-spec asks for at least 4 MiB


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image or artifact: a config and layers. ``artifact_type`` is the config's media type if the manifest names none."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None
    artifact_type: str
    annotations: Mapping[str, str]

    def children(self) -> tuple[Descriptor, ...]:
        """Return everything that a puller needs besides the manifest itself."""
        return (self.config, *self.layers)


@dataclass(frozen=True, slots=True)
class Index:
    """A list of manifests, one for each platform or purpose. ``artifact_type`` is empty if it names none."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None
    artifact_type: str
    annotations: Mapping[str, str]

    def wanted(self, platforms: tuple[Platform, ...]) -> tuple[Descriptor, ...]:
        """Return the children for ``platforms``, in the index's order; those without a platform are always wanted.

        Attestations carry the platform ``unknown/unknown`` (BuildKit) and so are left out: ``record.in_index`` takes them as what is kept
        for an image.
        """
        return tuple(
            child
            for child in self.manifests
            if child.platform is None or any(child.platform.satisfies(platform) for platform in platforms)
        )


def parse_manifest(raw: bytes, media_type: str) -> Manifest | Index:
    """Return what ``raw`` says. ``media_type`` is the Content-Type it came with; the body's own wins if it has one.

    Raises ManifestInvalid for bytes that are no manifest, an unknown type, or schema 1 (dropped by containerd 2).
    """
    if len(raw) > MAX_MANIFEST_BYTES:
        raise ManifestInvalid(f"a manifest of {len(raw)} bytes is larger than container runtimes accept")
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid(f"a manifest is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ManifestInvalid("a manifest is not a JSON object")
    kind = parse_text(value, "mediaType") or media_types.without_parameters(media_type)
    subject, artifact_type, annotations = _subject(value), parse_text(value, "artifactType"), parse_annotations(value)
    if value.get("manifests") is not None and (value.get("config") is not None or value.get("layers") is not None):
        # Two clients could take it for two different things (CVE-2021-41190); containerd refuses it too.
        raise ManifestInvalid("a manifest is both an index and an image", "rebuild that image")
    if media_types.is_index(kind):
        return Index(kind, _descriptors(value, "manifests"), subject, artifact_type, annotations)
    if media_types.is_manifest(kind):
        config = Descriptor.from_json(value.get("config"))
        return Manifest(kind, config, _descriptors(value, "layers"), subject, artifact_type or config.media_type, annotations)
    raise ManifestInvalid(f"{kind[:100]!r} is not a manifest type that can be stored", "rebuild the image as OCI or Docker schema 2")


def as_referrer(descriptor: Descriptor, parsed: Manifest | Index) -> Descriptor:
    """Return the descriptor by which a list of referrers names a manifest: with its artifact type and its own annotations.

    Source: OCI distribution-spec, "Listing Referrers": a manifest without artifactType has its config's media type, an
    index without it none.
    """
    return replace(descriptor, annotations=parsed.annotations, artifact_type=parsed.artifact_type)


def descriptor_of(raw: bytes, media_type: str, algorithm: str = "sha256") -> Descriptor:
    """Return the descriptor of a manifest's raw bytes."""
    return Descriptor(media_types.without_parameters(media_type), Digest.of(raw, algorithm), len(raw))


def _descriptors(value: dict[str, object], key: str) -> tuple[Descriptor, ...]:
    if key not in value:
        raise ManifestInvalid(f"a manifest has no list of {key}")
    items = value[key]
    if items is None:  # what Go writes for a list without elements; Go's clients read it back as one
        return ()
    if not isinstance(items, list):
        raise ManifestInvalid(f"a manifest has no list of {key}")
    return tuple(Descriptor.from_json(item) for item in items)


def _subject(value: dict[str, object]) -> Descriptor | None:
    subject = value.get("subject")
    return None if subject is None else Descriptor.from_json(subject)
