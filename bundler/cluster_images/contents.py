"""What an image of the store says of itself: platform, labels, history, and which of its layers came from which image.

Source: OCI image-spec config.md; docker's own configs are the same, with more in them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bundler.errors import ClusterImageInvalid
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import Index, Manifest
from registry_snapshot.oci.media_types import DOCKER_CONFIG, OCI_CONFIG, OCI_MANIFEST
from registry_snapshot.store.base import BlobReader
from registry_snapshot.store.bounded import MAX_CONFIG_BYTES, read_blob
from registry_snapshot.store.closure import holds_others, read_manifest

# On a manifest that a build made: which image its layers came from, the lowest first, each with how many layers there are up to its own:
# [["kubernetes:v1.36.3", 3], ["shop:1.4.0", 9]].
ORIGINS: Final = "internal.airseal.origins"
CONFIGS: Final = frozenset({OCI_CONFIG, DOCKER_CONFIG})
_DEPTH: Final = 8  # indexes in indexes
_MOST_LAYERS: Final = 1000  # docker's overlay has 128
_REMEDY: Final = "build that image again"


@dataclass(frozen=True, slots=True)
class Origin:
    """An image that others were built on, and how many layers there are up to its own, from the lowest."""

    name: str
    layers: int


@dataclass(frozen=True, slots=True)
class Line:
    """One step of an image's history. ``empty``: it made no layer."""

    text: str
    empty: bool


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """An image's config, as far as anybody here asks. ``contents`` are the digests of its layers' tars (diffIDs)."""

    platform: Platform
    created: str
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    contents: tuple[Digest, ...]
    history: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class ImageContents:
    """One image for one platform: its manifest's descriptor, what it says, and its config."""

    descriptor: Descriptor
    manifest: Manifest
    config: ImageConfig

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Which image which layers came from, as whoever built it wrote it down; empty if nobody did."""
        return parse_origins(self.manifest.annotations.get(ORIGINS, ""), len(self.manifest.layers))


def read_contents(blobs: BlobReader, root: Descriptor) -> tuple[ImageContents, ...]:
    """Return the images that a manifest or an index leads to, in its order; attestations and other artifacts are passed over.

    Raises ClusterImageInvalid for a config that cannot be read or does not go with its layers, BlobUnknown, ManifestInvalid.
    """
    found: list[ImageContents] = []
    waiting, seen = [(root, 0)], {root.digest}
    while waiting:
        descriptor, depth = waiting.pop(0)
        if not holds_others(descriptor):
            continue
        parsed = read_manifest(blobs, descriptor)
        if isinstance(parsed, Index):
            fresh = [child for child in parsed.manifests if depth < _DEPTH and child.digest not in seen]
            seen |= {child.digest for child in fresh}
            waiting += [(child, depth + 1) for child in fresh]
        elif parsed.config.media_type in CONFIGS and (descriptor.platform is None or descriptor.platform.os != "unknown"):
            config = parse_config(read_blob(blobs, parsed.config.digest, MAX_CONFIG_BYTES), str(descriptor.digest))
            if len(config.contents) != len(parsed.layers):
                raise ClusterImageInvalid(f"{descriptor.digest} has {len(parsed.layers)} layers, and its config speaks of {len(config.contents)}", _REMEDY)
            found.append(ImageContents(descriptor, parsed, config))
    return tuple(found)


def contents_for(blobs: BlobReader, root: Descriptor, name: str, platform: Platform | None = None) -> ImageContents:
    """Return the image for ``platform``; without one, the only one there is, or the first. Raises ClusterImageInvalid, RegistryError."""
    found = read_contents(blobs, root)
    wanted = [each for each in found if platform is None or each.config.platform.satisfies(platform)]
    if not wanted:
        offered = ", ".join(str(each.config.platform) for each in found) or "no image at all"
        raise ClusterImageInvalid(f"{name} has nothing for {platform or 'any platform'}; it has {offered}", "name another image, or another platform")
    return wanted[0]


def parse_config(raw: bytes, name: str) -> ImageConfig:
    """Return what a config says. ``name`` is what it is called in errors. Raises ClusterImageInvalid."""
    try:
        value = json.loads(raw)
        inner = value.get("config") or {}
        pairs = (str(entry).partition("=") for entry in inner.get("Env") or ())
        contents = tuple(Digest.parse(str(text)) for text in (value.get("rootfs") or {}).get("diff_ids") or ())
        history = tuple(
            Line(str(entry.get("created_by") or entry.get("comment") or ""), bool(entry.get("empty_layer"))) for entry in value.get("history") or ()
        )
        config = ImageConfig(
            Platform.of_config(raw), str(value.get("created") or ""),
            MappingProxyType({str(key): str(text) for key, text in (inner.get("Labels") or {}).items()}),
            MappingProxyType({key: text for key, _, text in pairs}), contents, history,
        )  # fmt: skip
    except (ValueError, AttributeError, TypeError, RecursionError, RegistryError) as error:
        raise ClusterImageInvalid(f"the config of {name} cannot be read: {str(error)[:200]}", _REMEDY) from None
    if len(contents) > _MOST_LAYERS:
        raise ClusterImageInvalid(f"{name} has {len(contents)} layers; {_MOST_LAYERS} is the most", _REMEDY)
    return config


def lines_of_layers(config: ImageConfig) -> tuple[str, ...]:
    """Return for each layer which step of the history made it, empty texts where the history does not add up."""
    made = [line.text for line in config.history if not line.empty]
    return tuple(made) if len(made) == len(config.contents) else ("",) * len(config.contents)


def origins_text(origins: Sequence[Origin]) -> str:
    """Return the annotation's text."""
    return json.dumps([[origin.name, origin.layers] for origin in origins], separators=(",", ":"))


def parse_origins(text: str, layers: int) -> tuple[Origin, ...]:
    """Return what an annotation says, of an image with so many layers; nothing for one that makes no sense."""
    try:
        found = tuple(Origin(str(name), int(count)) for name, count in json.loads(text or "[]"))
    except (ValueError, TypeError, RecursionError):
        return ()
    counts = [origin.layers for origin in found]
    return found if counts == sorted(counts) and all(0 <= count <= layers for count in counts) else ()


def manifest_of(config: Descriptor, layers: Sequence[Descriptor], annotations: Mapping[str, str]) -> bytes:
    """Return the manifest of an image: the same bytes for the same parts."""
    value: dict[str, object] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.to_json(), "layers": [layer.to_json() for layer in layers]}
    if annotations:
        value["annotations"] = dict(sorted(annotations.items()))
    return json.dumps(value, separators=(",", ":")).encode()
