"""``index.json`` of an OCI image layout in which every image stands under its full original reference.

``org.opencontainers.image.ref.name`` is what skopeo and crane look for, ``io.containerd.image.name`` what
``ctr images import`` prefers. Both hold the same text, so every tool sees the name the image was pulled by.

Source: OCI image-spec image-layout.md ("index.json file") and annotations.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from registry_snapshot.errors import ManifestInvalid
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.manifest import Index, parse_manifest
from registry_snapshot.oci.reference import Reference, looks_like_registry

REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"
OCI_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'  # the whole content of the file oci-layout


def layout_index(entries: Iterable[tuple[Reference, Descriptor]]) -> bytes:
    """Return the index's bytes: sorted by reference, the same bytes for the same entries in any order."""
    named = sorted({str(reference): descriptor for reference, descriptor in entries}.items())
    manifests = [_with_names(descriptor, name).to_json() for name, descriptor in named]
    value = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": manifests}
    return json.dumps(value, indent=1).encode() + b"\n"


def parse_layout_index(raw: bytes) -> tuple[tuple[Reference, Descriptor], ...]:
    """Return what ``layout_index`` was given, in the index's order.

    Raises ManifestInvalid for bytes that are no index or an image without its full name, ReferenceInvalid, DigestInvalid.
    """
    index = parse_manifest(raw, media_types.OCI_INDEX)
    if not isinstance(index, Index):
        raise ManifestInvalid("index.json is a single manifest, not an index")
    return tuple((_name(descriptor), _without_names(descriptor)) for descriptor in index.manifests)


def _with_names(descriptor: Descriptor, name: str) -> Descriptor:
    return replace(descriptor, annotations={**descriptor.annotations, REF_NAME: name, IMAGE_NAME: name})


def _without_names(descriptor: Descriptor) -> Descriptor:
    rest = {key: text for key, text in descriptor.annotations.items() if key not in {REF_NAME, IMAGE_NAME}}
    return replace(descriptor, annotations=rest)


def _name(descriptor: Descriptor) -> Reference:
    name = descriptor.annotations.get(IMAGE_NAME) or descriptor.annotations.get(REF_NAME) or ""
    # A bare tag, which other tools write here, must not become docker.io/library/<tag>.
    if not looks_like_registry(name.partition("/")[0]):
        raise ManifestInvalid(
            f"{descriptor.digest} stands in the layout as {name[:200]!r}, without its full name",
            f"annotate it with {IMAGE_NAME}: registry/path:tag",
        )
    return Reference.parse(name)
