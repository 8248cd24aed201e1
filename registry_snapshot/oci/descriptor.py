"""Descriptor and Platform: how one piece of content points at another.

Source: OCI image-spec descriptor.md and image-index.md ("platform").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from registry_snapshot.errors import ManifestInvalid
from registry_snapshot.oci.digest import Digest

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """``linux/amd64``, with an optional variant as in ``linux/arm64/v8``."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Return the platform that ``os/architecture[/variant]`` spells. Raises ManifestInvalid."""
        parts = text.split("/")
        if len(parts) not in {2, 3} or not all(parts):
            raise ManifestInvalid(f"{text[:100]!r} is not a platform", "write os/architecture, for example linux/amd64")
        return cls(*parts)

    @classmethod
    def of_config(cls, raw: bytes) -> Platform:
        """Return the platform that an image's config names. Raises ManifestInvalid. Source: OCI image-spec config.md."""
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise ManifestInvalid(f"an image's config is not JSON: {error}") from None
        return _platform(value) or cls("", "")

    def satisfies(self, wanted: Platform) -> bool:
        """Tell whether content for this platform is what ``wanted`` asks for; a wanted variant must match if named."""
        same = (self.os, self.architecture) == (wanted.os, wanted.architecture)
        return same and (not wanted.variant or wanted.variant == self.variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Type, digest and size in bytes of some content; ``urls`` are where foreign layers may be fetched.

    ``artifact_type`` is the type of the artifact that a manifest holds, empty where nobody says (descriptor.md, "Properties").
    """

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=lambda: _NONE)
    artifact_type: str = ""

    @classmethod
    def from_json(cls, value: object) -> Descriptor:
        """Return the descriptor in parsed JSON. Raises ManifestInvalid, DigestInvalid."""
        if not isinstance(value, dict):
            raise ManifestInvalid("a descriptor is not a JSON object")
        media_type, digest, size = value.get("mediaType"), value.get("digest"), value.get("size")
        if not isinstance(media_type, str) or not isinstance(digest, str):
            raise ManifestInvalid("a descriptor lacks mediaType or digest")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ManifestInvalid(f"the descriptor of {digest[:100]} has no valid size")
        urls = value.get("urls") or []
        annotations = value.get("annotations") or {}
        artifact_type = value.get("artifactType") or ""
        if not isinstance(urls, list) or not isinstance(annotations, dict) or not isinstance(artifact_type, str):
            raise ManifestInvalid(f"the descriptor of {digest[:100]} is malformed")
        return cls(
            media_type,
            Digest.parse(digest),
            size,
            _platform(value.get("platform")),
            tuple(str(url) for url in urls),
            MappingProxyType({str(key): str(text) for key, text in annotations.items()}),
            artifact_type,
        )

    def to_json(self) -> dict[str, object]:
        """Return the descriptor as JSON values, keys in the specification's order."""
        value: dict[str, object] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.platform is not None:
            value["platform"] = {"architecture": self.platform.architecture, "os": self.platform.os}
            if self.platform.variant:
                value["platform"] = {**value["platform"], "variant": self.platform.variant}  # type: ignore[dict-item]
        if self.urls:
            value["urls"] = list(self.urls)
        if self.annotations:
            value["annotations"] = dict(sorted(self.annotations.items()))
        if self.artifact_type:
            value["artifactType"] = self.artifact_type
        return value


def _platform(value: object) -> Platform | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ManifestInvalid("a platform is not a JSON object")
    return Platform(str(value.get("os", "")), str(value.get("architecture", "")), str(value.get("variant", "")))
