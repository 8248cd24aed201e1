"""Images in an object of the API, whatever its kind: a container is a container also in a custom resource nobody knows. Pure.

Not read: ``status`` (what was), what the API server keeps for itself, values of Secrets. Of CustomResourceDefinitions only
defaults count: their descriptions are prose with examples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from bundler.coverage.candidates import Certainty, Found
from bundler.coverage.text import images_in, names_image
from installer_stub.bundle.reasons import Scanned
from installer_stub.kube.owners import lasting_name, steady

Object = Mapping[str, Any]

MAX_DEPTH: Final = 60  # of nesting; etcd's 1.5 MB could hold a million
MAX_NODES: Final = 200_000  # of one object, those of documents in its texts included
_MAX_YAML: Final = 256 << 10  # characters of a text that is read as YAML: what people put into a ConfigMap
_CONTAINERS: Final = frozenset({"containers", "initContainers", "ephemeralContainers"})
# An image in parts: charts and operators have repository and tag, older ones imageRepository, baseImage and imageTag, kustomize (and flux) newName and newTag.
_BASES: Final = ("repository", "imageRepository", "newName", "image", "baseImage")
_VERSIONS: Final = ("tag", "imageTag", "newTag", "version", "digest")
_SKIPPED: Final = frozenset({"status", "managedFields", "caBundle", "ownerReferences", "uid", "resourceVersion", "finalizers"})
_APPLIED: Final = frozenset({"kubectl.kubernetes.io/last-applied-configuration", "objectset.rio.cattle.io/applied"})
_SIMPLE: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def object_name(item: Object) -> str:
    """Return ``CronJob shop/nightly``, or ``ClusterPolicy strict`` for what has no namespace."""
    metadata = item.get("metadata") or {}
    name, namespace = steady(lasting_name(metadata)), str(metadata.get("namespace") or "")
    return f"{item.get('kind', '')} {namespace}/{name}" if namespace else f"{item.get('kind', '')} {name}"


def images_of(item: Object, name: str = "") -> Iterator[Found]:
    """Yield what in ``item`` is, or may be, an image. ``name`` is what the object is called, if not by its own name."""
    walk = _Walk(name or object_name(item))
    if item.get("kind") == "CustomResourceDefinition":
        yield from walk.defaults(item.get("spec"), "spec", 0)
        return
    annotations = (item.get("metadata") or {}).get("annotations") or {}
    for key in sorted(set(annotations) - _APPLIED):
        yield from walk.value(annotations[key], f"metadata.annotations[{key}]", key, 0)
    for key in item:
        if key not in {"apiVersion", "kind", "metadata", *_SKIPPED}:
            yield from walk.value(item[key], key, key, 0)


@dataclass(slots=True)
class _Walk:
    """One way through one object; what is too deep or too much is not followed."""

    subject: str
    nodes: int = 0
    seen: set[int] = field(default_factory=set)  # what YAML's aliases name a thousand times is looked at once

    def value(self, value: object, path: str, key: str, depth: int) -> Iterator[Found]:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            return
        if isinstance(value, str):
            yield from self._text(value, path, key, depth)
        elif id(value) in self.seen:
            return
        elif isinstance(value, Mapping):
            yield from self._mapping(value, path, key, depth)
        elif isinstance(value, list):
            yield from self._list(value, path, key, depth)

    def defaults(self, value: object, path: str, depth: int) -> Iterator[Found]:
        """Yield what schemas fill in where a custom resource says nothing."""
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            return
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in pairs:
            if key == "default" and not isinstance(value, list):
                yield from self.value(inner, f"{path}.default", path.rpartition(".")[2], depth + 1)
            else:
                yield from self.defaults(inner, f"{path}.{key}", depth + 1)

    def _mapping(self, value: Mapping[Any, Any], path: str, key: str, depth: int, *, told: bool = False) -> Iterator[Found]:
        """Yield what is in a mapping; of a container whose image was ``told``, the rest."""
        self.seen.add(id(value))
        composed = None if told else self._composed(value, path, key)
        if composed:
            yield composed
        for name, inner in value.items():
            if name in _SKIPPED or name in _APPLIED or ((composed or told) and name in _BASES):
                continue
            # In {name: HELPER_IMAGE, value: …} the name says what the value is.
            called = str(value["name"]) if name == "value" and isinstance(value.get("name"), str) else str(name)
            if name in _CONTAINERS and isinstance(inner, list):
                yield from self._containers(inner, f"{path}.{name}", depth + 1)
            elif name == "volumes" and isinstance(inner, list):
                yield from self._volumes(inner, f"{path}.{name}", depth + 1)
            else:
                yield from self.value(inner, f"{path}.{name}", called, depth + 1)

    def _composed(self, value: Mapping[Any, Any], path: str, key: str) -> Found | None:
        """Return the image that is spelled in parts: registry, repository, tag."""
        base = next((each for each in _BASES if isinstance(value.get(each), str)), "name" if names_image(key) or "newTag" in value else "image")
        parts = [part for part in _VERSIONS if _version(value.get(part))]
        name = str(value.get(base) or "").strip().rstrip("/")
        whole = "://" in name or ":" in name.rpartition("/")[2] or "@" in name
        # A chart's repository has a version too.
        is_chart = base == "repository" and parts == ["version"] and not names_image(key) and "image" not in value
        if not name or not parts or whole or is_chart:
            return None
        if base == "repository" and isinstance(value.get("image"), str) and _SIMPLE.fullmatch(value["image"]):
            name = f"{name}/{value['image']}"  # as the GPU operator's: repository nvcr.io/nvidia, image driver
        registry = str(value.get("registry") or "").strip().rstrip("/")
        name = f"{registry}/{name}" if registry and not name.startswith(f"{registry}/") else name
        version = _version(value[parts[0]])
        mark = "@" if version.startswith("sha256:") else ":"
        return Found(f"{name}{mark}{version}", Scanned(self.subject, f"{path}.{base}"), Certainty.NAMED)

    def _list(self, value: list[Any], path: str, key: str, depth: int) -> Iterator[Found]:
        self.seen.add(id(value))
        for number, inner in enumerate(value):
            before = value[number - 1] if number else ""
            option = before.lstrip("-") if isinstance(before, str) and before.startswith("-") and "=" not in before else ""
            yield from self.value(inner, f"{path}[{_label(inner, number)}]", option or key, depth + 1)

    def _containers(self, value: list[Any], path: str, depth: int) -> Iterator[Found]:
        for number, container in enumerate(value):
            at = f"{path}[{_label(container, number)}]"
            if isinstance(container, Mapping) and isinstance(container.get("image"), str) and isinstance(container.get("name"), str):
                name = str(container["name"])
                if container["image"]:  # empty: something fills it in, as in a partial override
                    yield Found(str(container["image"]), Scanned(self.subject, f"{at}.image"), Certainty.CONTAINER, name)
                yield from self._mapping(container, at, "", depth + 1, told=True)
            else:
                yield from self.value(container, at, "", depth + 1)

    def _volumes(self, value: list[Any], path: str, depth: int) -> Iterator[Found]:
        for number, volume in enumerate(value):
            at = f"{path}[{_label(volume, number)}]"
            source = volume.get("image") if isinstance(volume, Mapping) else None
            if isinstance(source, Mapping) and isinstance(source.get("reference"), str):
                name = f"volume {volume.get('name')}"
                yield Found(str(source["reference"]), Scanned(self.subject, f"{at}.image.reference"), Certainty.CONTAINER, name)
            else:
                yield from self.value(volume, at, "", depth + 1)

    def _text(self, text: str, path: str, key: str, depth: int) -> Iterator[Found]:
        for word, certainty in images_in(text, key):
            yield Found(word, Scanned(self.subject, path), certainty)
        if "\n" in text.strip() and len(text) <= _MAX_YAML:  # a document in a text: what a pod spec is, it is there too
            for found in self._document(text, path, depth):
                certainty = min(found.certainty, Certainty.NAMED)  # a template of somebody's, not an object of the API
                yield Found(found.text, found.place, certainty)

    def _document(self, text: str, path: str, depth: int) -> Iterator[Found]:
        try:
            documents = [document for document in yaml.load_all(text, YAML_LOADER) if isinstance(document, (Mapping, list))]
        except (yaml.YAMLError, ValueError, RecursionError, TypeError):
            return  # a template or a program; its words were looked at
        inside = _Walk(self.subject, self.nodes)
        for document in documents:
            yield from (found for found in inside.value(document, path, "", depth + 1) if found.certainty >= Certainty.NAMED)
        self.nodes = inside.nodes


def _version(value: object) -> str:
    """Return a tag's or digest's text. YAML takes ``1.27`` for a number."""
    return str(value).strip() if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""


def _label(value: object, number: int) -> str:
    """Return what a list's member is called in a path: its name, which stays when others are put before it."""
    name = value.get("name") if isinstance(value, Mapping) else None
    return name if isinstance(name, str) and name else str(number)
