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
_SIZES = 2**63  # a size is an int64: descriptor.md


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

    @classmethod
    def of_machine(cls, machine: str) -> Platform:
        """Return the platform of a Linux machine in the words of uname -m; what the OCI calls otherwise is translated."""
        return cls("linux", {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine))

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
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < _SIZES:
            raise ManifestInvalid(f"the descriptor of {digest[:100]} has no valid size")
        urls = value.get("urls") or []
        if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
            raise ManifestInvalid(f"the descriptor of {digest[:100]} has urls that are no list of texts")
        return cls(
            media_type,
            Digest.parse(digest),
            size,
            _platform(value.get("platform")),
            tuple(urls),
            parse_annotations(value),
            parse_text(value, "artifactType"),
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


def parse_text(value: Mapping[str, object], key: str) -> str:
    """Return an optional text of a JSON object, empty if it is not there or null. Raises ManifestInvalid."""
    text = value.get(key)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise ManifestInvalid(f"{key[:100]!r} is not a text")
    return text


def parse_annotations(value: Mapping[str, object]) -> Mapping[str, str]:
    """Return the annotations of a JSON object, none if they are not there or null. Raises ManifestInvalid.

    One that is null is empty, as Go's clients read it. Source: OCI image-spec annotations.md, "Rules".
    """
    annotations = value.get("annotations")
    if annotations is None:
        return _NONE
    if not isinstance(annotations, dict):
        raise ManifestInvalid("annotations are no JSON object")
    return MappingProxyType({key: parse_text(annotations, key) for key in annotations})


def _platform(value: object) -> Platform | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ManifestInvalid("a platform is not a JSON object")
    return Platform(parse_text(value, "os"), parse_text(value, "architecture"), parse_text(value, "variant"))
