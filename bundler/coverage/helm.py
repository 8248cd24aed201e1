"""Helm releases as helm keeps them: what a release would make, hooks and tests included, which the API no longer or not yet has.

A release is a Secret (or ConfigMap) whose ``release`` is base64 of gzip of JSON; in a Secret kubectl shows it in base64 once
more. Source: helm, pkg/storage/driver/util.go.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import yaml

from bundler.coverage.candidates import Found
from bundler.coverage.walk import YAML_LOADER, Object, images_of, object_name

MAX_RELEASE: Final = 64 << 20  # bytes of JSON: a Secret holds 1 MiB, and text shrinks to a tenth
MAX_MANIFEST: Final = 16 << 20  # characters of all that a release makes
_GZIP: Final = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Release:
    """One revision of a release. ``manifest`` is YAML, ``hooks`` are (name, events, YAML)."""

    namespace: str
    name: str
    revision: int
    status: str
    manifest: str
    hooks: tuple[tuple[str, str, str], ...]
    chart: tuple[str, str] = ("", "")  # name, version
    values: str = field(default="{}", repr=False)  # what was set, as JSON; passwords may be in it

    @property
    def title(self) -> str:
        """What it is called in reasons."""
        return f"helm release {self.namespace}/{self.name}"


class UnreadableReleaseError(ValueError):
    """What says that it is a release cannot be read as one."""


def is_release(item: Object) -> bool:
    """Tell whether a Secret or ConfigMap is a helm release."""
    labels = (item.get("metadata") or {}).get("labels") or {}
    return item.get("type") == "helm.sh/release.v1" or (item.get("kind") == "ConfigMap" and labels.get("owner") == "helm" and "release" in (item.get("data") or {}))


def read_release(item: Object) -> Release:
    """Return the release. Raises UnreadableReleaseError for what is none, or larger than a release can be."""
    raw = str((item.get("data") or {}).get("release") or "").encode()
    try:
        if item.get("kind") == "Secret":
            raw = base64.b64decode(raw, validate=True)
        raw = base64.b64decode(raw, validate=True)
        if raw[:2] == b"\x1f\x8b":
            inflate = zlib.decompressobj(_GZIP)
            raw = inflate.decompress(raw, MAX_RELEASE)
            if not inflate.eof:
                raise UnreadableReleaseError(f"it is torn, or larger than {MAX_RELEASE >> 20} MiB")
        value = json.loads(raw)
        hooks = tuple((str(hook["name"]), ", ".join(map(str, hook.get("events") or ())), str(hook["manifest"])) for hook in value.get("hooks") or ())
        status = str((value.get("info") or {}).get("status", ""))
        about = (value.get("chart") or {}).get("metadata") or {}
        chart = (str(about.get("name", "")), str(about.get("version", "")))
        values = json.dumps(value.get("config") or {})
        return Release(str(value["namespace"]), str(value["name"]), int(value["version"]), status, str(value.get("manifest") or ""), hooks, chart, values)
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableReleaseError(str(error)[:200] or type(error).__name__) from None


def latest(releases: Iterable[Release]) -> tuple[Release, ...]:
    """Return the last revision of each release: earlier ones are what was."""
    found: dict[tuple[str, str], Release] = {}
    for release in sorted(releases, key=lambda each: each.revision):
        found[release.namespace, release.name] = release
    return tuple(found.values())


def images_of_release(release: Release) -> Iterator[Found]:
    """Yield the images of all that a release makes, and of its hooks and tests. Raises UnreadableReleaseError."""
    if len(release.manifest) + sum(len(text) for _, _, text in release.hooks) > MAX_MANIFEST:
        raise UnreadableReleaseError(f"its manifests have more than {MAX_MANIFEST >> 20} MiB")
    for item in documents(release.manifest):
        # Under the object's own name: it is the same that stands in the API.
        yield from images_of(item, _named(item, release.namespace))
    for name, events, text in release.hooks:
        for item in documents(text):
            yield from images_of(item, f"{release.title}, hook {name}" + (f" ({events})" if events else ""))


def documents(text: str) -> Iterator[Object]:
    """Yield the objects of a YAML stream, lists taken apart. Raises UnreadableReleaseError."""
    try:
        for document in yaml.load_all(text, YAML_LOADER):
            if isinstance(document, Mapping):
                items = document.get("items") if str(document.get("kind", "")).endswith("List") else None
                yield from (item for item in items if isinstance(item, Mapping)) if isinstance(items, list) else (document,)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UnreadableReleaseError(f"a manifest is no YAML: {str(error)[:200]}") from None


def _named(item: Object, namespace: str) -> str:
    metadata = dict(item.get("metadata") or {})
    return object_name({"kind": item.get("kind"), "metadata": {"namespace": namespace, **metadata}})
