"""OCI image layouts, made from trees and files: the same bytes each time, so a digest can be written down and kept.

The engine's own builder would stamp times and give new digests at every build; and it cannot make an index, which is
what public registries serve. A layout made here goes to a registry with crane, unchanged.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.testbed.cache import build_once, file_sha256, key_of

EPOCH = 1767225600
_CREATED = "2026-01-01T00:00:00Z"
_CHUNK = 1 << 20
_OCI = {
    "manifest": "application/vnd.oci.image.manifest.v1+json",
    "index": "application/vnd.oci.image.index.v1+json",
    "config": "application/vnd.oci.image.config.v1+json",
    "layer": "application/vnd.oci.image.layer.v1.tar+gzip",
}
_DOCKER = {
    "manifest": "application/vnd.docker.distribution.manifest.v2+json",
    "index": "application/vnd.docker.distribution.manifest.list.v2+json",
    "config": "application/vnd.docker.container.image.v1+json",
    "layer": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}


class Layer(Protocol):
    """Something that can write itself as a tar."""

    @property
    def key(self) -> str:
        """Name the contents: the same key, the same bytes."""

    def write_tar(self, target: Path) -> None:
        """Write the layer, not compressed."""


@dataclass(frozen=True)
class Tree:
    """A root file system's tarball, without device nodes: published images have none, and not everyone may make them."""

    tarball: Path
    key: str

    def write_tar(self, target: Path) -> None:
        with (
            tarfile.open(self.tarball) as source,
            tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for member in source:
                if not member.name.startswith("./dev/"):
                    tar.addfile(member, source.extractfile(member) if member.isreg() else None)


@dataclass(frozen=True)
class Entry:
    """A file to be: its bytes or where they are, and its mode."""

    source: Path | bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Files:
    """A layer of single files and symbolic links; parent directories come by themselves."""

    entries: Mapping[str, Entry]
    links: Mapping[str, str] = field(default_factory=dict)
    directories: tuple[str, ...] = ()
    """Directories to be there with nothing in them."""
    made_by: str = ""
    """The recipe key of what ``source`` paths point at, so that their bytes need not be hashed each time."""

    @property
    def key(self) -> str:
        contents = [
            (path, entry.mode, entry.source.name if isinstance(entry.source, Path) else entry.source)
            for path, entry in sorted(self.entries.items())
        ]
        return key_of(self.made_by, contents, sorted(self.links.items()), *self.directories)

    def write_tar(self, target: Path) -> None:
        with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
            paths = [*self.entries, *self.links]
            parents = {str(parent) for path in paths for parent in Path(path).parents if str(parent) != "."}
            for parent in sorted(parents.union(self.directories)):
                tar.addfile(tar_member(parent, tarfile.DIRTYPE, 0o755))
            for path in sorted(paths):
                if path in self.links:
                    member = tar_member(path, tarfile.SYMTYPE, 0o777)
                    member.linkname = self.links[path]
                    tar.addfile(member)
                else:
                    _add_entry(tar, path, self.entries[path])


@dataclass(frozen=True)
class Build:
    """One platform of an image."""

    layers: tuple[Layer, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    architecture: str = "amd64"
    variant: str = ""


@dataclass(frozen=True)
class Image:
    """An image under its upstream name; more than one build, or ``index``, makes it a multi-platform index."""

    reference: str
    builds: tuple[Build, ...]
    docker_types: bool = False
    index: bool = False
    attested: bool = False
    """Whether the index also holds what BuildKit adds: a child for the platform unknown/unknown."""

    @property
    def key(self) -> str:
        builds = [
            (
                build.architecture,
                build.variant,
                sorted(build.config.items()),
                [layer.key for layer in build.layers],
            )
            for build in self.builds
        ]
        return key_of(self.reference, builds, self.docker_types, self.index, self.attested)


def write_layout(image: Image, layers: Path, target: Path) -> bool:
    """Make ``target`` the layout of ``image``, with compressed layers shared in ``layers``; False if it was there."""
    return build_once(target, image.key, lambda directory: _Layout(directory, layers, image).write())


def layout_digest(layout: Path) -> str:
    """Return the digest of the one image or index in a layout."""
    digest: str = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    return digest


def tar_member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    """Return a member of root's, at a time that never changes."""
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = kind, mode, EPOCH
    member.uname = member.gname = "root"
    return member


def _add_entry(tar: tarfile.TarFile, path: str, entry: Entry) -> None:
    member = tar_member(path, tarfile.REGTYPE, entry.mode)
    if isinstance(entry.source, bytes):
        member.size = len(entry.source)
        tar.addfile(member, io.BytesIO(entry.source))
        return
    member.size = entry.source.stat().st_size
    with entry.source.open("rb") as file:
        tar.addfile(member, file)


class _Layout:
    """One layout while it is written."""

    def __init__(self, directory: Path, layers: Path, image: Image) -> None:
        self._blobs = directory / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        self._directory, self._layers, self._image = directory, layers, image
        self._types = _DOCKER if image.docker_types else _OCI

    def write(self) -> None:
        children = [self._manifest(build) for build in self._image.builds]
        top = children[0]
        if self._image.index or len(children) > 1:
            children += [self._attestation(children[0])] if self._image.attested else []
            top = self._put(
                "index", {"schemaVersion": 2, "mediaType": self._types["index"], "manifests": children}
            )
        layout_index = {"schemaVersion": 2, "mediaType": _OCI["index"], "manifests": [_without_platform(top)]}
        (self._directory / "index.json").write_text(json.dumps(layout_index))
        (self._directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def _manifest(self, build: Build) -> dict[str, Any]:
        layers = [self._layer(layer) for layer in build.layers]
        platform = {"architecture": build.architecture, "os": "linux"}
        platform |= {"variant": build.variant} if build.variant else {}
        config = {
            "created": _CREATED,
            **platform,
            "config": dict(build.config),
            "rootfs": {"type": "layers", "diff_ids": [layer["diff_id"] for layer in layers]},
            "history": [{"created": _CREATED, "created_by": "the test bed"} for _ in layers],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": self._types["manifest"],
            "config": self._put("config", config),
            "layers": [
                {"mediaType": self._types["layer"], "digest": layer["digest"], "size": layer["size"]}
                for layer in layers
            ],
        }
        return {**self._put("manifest", manifest), "platform": platform}

    def _layer(self, layer: Layer) -> dict[str, Any]:
        store = self._layers / layer.key
        build_once(store, layer.key, lambda directory: _compress(layer, directory))
        facts: dict[str, Any] = json.loads((store / "layer.json").read_text())
        blob = self._blobs / facts["digest"].removeprefix("sha256:")
        if not blob.exists():
            os.link(store / "layer.tar.gz", blob)
        return facts

    def _attestation(self, subject: dict[str, Any]) -> dict[str, Any]:
        statement = {"_type": "https://in-toto.io/Statement/v0.1", "subject": [], "predicate": {}}
        layer = self._put("layer", statement)
        layer |= {"mediaType": "application/vnd.in-toto+json"}
        rootfs = {"type": "layers", "diff_ids": [layer["digest"]]}
        config = {"architecture": "unknown", "os": "unknown", "config": {}, "rootfs": rootfs}
        manifest = {
            "schemaVersion": 2,
            "mediaType": self._types["manifest"],
            "config": self._put("config", config),
            "layers": [layer],
        }
        return {
            **self._put("manifest", manifest),
            "annotations": {
                "vnd.docker.reference.digest": subject["digest"],
                "vnd.docker.reference.type": "attestation-manifest",
            },
            "platform": {"architecture": "unknown", "os": "unknown"},
        }

    def _put(self, kind: str, value: dict[str, Any]) -> dict[str, Any]:
        data = json.dumps(value, separators=(",", ":")).encode()
        name = hashlib.sha256(data).hexdigest()
        (self._blobs / name).write_bytes(data)
        return {"mediaType": self._types[kind], "digest": f"sha256:{name}", "size": len(data)}


def _without_platform(descriptor: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in descriptor.items() if name != "platform"}


def _compress(layer: Layer, directory: Path) -> None:
    tar, packed = directory / "layer.tar", directory / "layer.tar.gz"
    layer.write_tar(tar)
    gzip_file(tar, packed)
    facts = {
        "diff_id": f"sha256:{file_sha256(tar)}",
        "digest": f"sha256:{file_sha256(packed)}",
        "size": packed.stat().st_size,
    }
    tar.unlink()
    (directory / "layer.json").write_text(json.dumps(facts))


def gzip_file(source: Path, target: Path) -> None:
    """Compress a file, without its name and time: the same bytes each time."""
    with (
        source.open("rb") as plain,
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
    ):
        shutil.copyfileobj(plain, packed, _CHUNK)
