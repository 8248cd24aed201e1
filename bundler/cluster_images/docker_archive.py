"""The archive of ``docker save``, read once: layers go into the blobs as they come, what names them comes last.

Docker before 25 writes ``ID/layer.tar`` and ``CONFIG.json``, later ones an OCI layout with ``manifest.json`` beside it; an engine that
keeps images in containerd gives layers as a registry had them. So an entry is what its first bytes say, and what it is for, ``manifest.json``.

Source: Docker Image Specification v1.2, "Combined Image JSON + Filesystem Changeset Format".
"""

from __future__ import annotations

import json
import posixpath
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Final

from bundler.bases.tar_limits import BoundedTarInfo
from bundler.cluster_images.compress import gzipped
from bundler.cluster_images.contents import ImageConfig, parse_config
from bundler.cluster_images.layers import LayerMemory, content_of
from bundler.errors import ArchiveInvalid
from installer_stub.phases.reporter import Reporter
from installer_stub.ui.transfer import size as text_of
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from registry_snapshot.store.bounded import MAX_CONFIG_BYTES
from registry_snapshot.store.disk import DiskBlobStore

MOST_ENTRIES: Final = 20_000
MOST_DOCUMENTS: Final = 64 << 20  # bytes of all documents of an archive, which are kept in memory
_PIECE: Final = 1 << 20
_HEAD: Final = 512
_WORTH_A_LINE: Final = 16 << 20
_MAGIC: Final = {b"\x1f\x8b": OCI_LAYER_GZIP, b"\x28\xb5\x2f\xfd": OCI_LAYER_ZSTD}
_REMEDY: Final = "save it again, and compare its size and sum with where it comes from"


@dataclass(frozen=True, slots=True)
class SavedImage:
    """An image of an archive, its layers stored. ``names`` are docker's."""

    raw_config: bytes
    config: ImageConfig
    layers: tuple[Descriptor, ...]
    names: tuple[str, ...]


@dataclass(slots=True)
class _Entries:
    """What came: documents by name, layers by name with the digest of their content, and links from one name to another."""

    documents: dict[str, bytes] = field(default_factory=dict)
    layers: dict[str, tuple[Digest, Descriptor]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    kept: int = 0


def read_docker_archive(stream: IO[bytes], blobs: DiskBlobStore, memory: LayerMemory, reporter: Reporter, name: str) -> tuple[SavedImage, ...]:
    """Return the images of an archive; their layers are in ``blobs`` then, those that ``memory`` knows as it knows them.

    ``name`` is what the archive is called in errors. Raises ArchiveInvalid, ClusterImageInvalid, StoreError.
    """
    entries = _Entries()
    intake = _Intake(blobs, memory, reporter, name)
    try:
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=BoundedTarInfo) as tar:
            for number, entry in enumerate(tar):
                if number == MOST_ENTRIES:
                    raise ArchiveInvalid(f"{name} has more than {MOST_ENTRIES} entries", "name an archive of docker save")
                tar.members.clear()  # type: ignore[attr-defined] # it remembers every entry, and is never asked for one again
                path = posixpath.normpath(entry.name)
                if entry.issym() or entry.islnk():
                    base = posixpath.dirname(path) if entry.issym() else ""
                    entries.links[path] = posixpath.normpath(posixpath.join(base, entry.linkname))
                elif entry.isreg() and (source := tar.extractfile(entry)) is not None:
                    _take(path, source, entry.size, entries, intake)
    except tarfile.TarError as error:
        raise ArchiveInvalid(f"{name} is torn, or no archive: {error}", _REMEDY) from None
    return _images(entries, name)


@dataclass(frozen=True, slots=True)
class _Intake:
    blobs: DiskBlobStore
    memory: LayerMemory
    reporter: Reporter
    archive: str

    def compressed(self, source: Iterator[bytes], media_type: str) -> tuple[Digest, Descriptor] | None:
        with self.blobs.ingest() as writer:
            for piece in source:
                writer.write(piece)
            size = writer.size
            layer = Descriptor(media_type, writer.commit(), size)
        content = content_of(layer, self.blobs)
        if content is None:
            return None
        self.memory.remember(content, layer)
        return content, layer

    def plain(self, source: Iterator[bytes]) -> tuple[Digest, Descriptor]:
        hasher, size = Digest("sha256", "").hasher(), 0
        self.blobs.make_directory(self.blobs.root)
        with tempfile.TemporaryFile(dir=self.blobs.root) as spooled:
            for piece in source:
                hasher.update(piece)
                spooled.write(piece)
                size += len(piece)
            content = Digest("sha256", hasher.hexdigest())
            if (known := self.memory.known(content)) is not None:
                return content, known
            spooled.seek(0)
            with self.blobs.ingest() as writer:
                for piece in gzipped(spooled):
                    writer.write(piece)
                length = writer.size
                layer = Descriptor(OCI_LAYER_GZIP, writer.commit(), length)
        if size >= _WORTH_A_LINE:
            self.reporter.step(f"compressed a layer: {text_of(size)} to {text_of(length)}")
        self.memory.remember(content, layer)
        return content, layer


def _take(path: str, source: IO[bytes], size: int, entries: _Entries, intake: _Intake) -> None:
    """Keep one entry: a document, a layer, or neither."""
    head = source.read(_HEAD)
    pieces = _from(head, source)
    media_type = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")
    if media_type:
        found = intake.compressed(pieces, media_type)
        if found is not None:
            entries.layers[path] = found
    elif head[257:262] == b"ustar" or (len(head) == _HEAD and size % _HEAD == 0 and not head.strip(b"\0")):
        entries.layers[path] = intake.plain(pieces)
    elif head[:1] in {b"{", b"["}:
        entries.kept += size
        if size > MAX_CONFIG_BYTES or entries.kept > MOST_DOCUMENTS:
            raise ArchiveInvalid(f"{intake.archive}: {path[:200]} and what was read before it are larger than any image's documents", "name an archive of docker save")
        entries.documents[path] = b"".join(pieces)


def _from(head: bytes, source: IO[bytes]) -> Iterator[bytes]:
    yield head
    while piece := source.read(_PIECE):
        yield piece


def _images(entries: _Entries, name: str) -> tuple[SavedImage, ...]:
    raw = entries.documents.get("manifest.json")
    if raw is None:
        raise ArchiveInvalid(f"{name} has no manifest.json: it is torn, or no archive of docker save", _REMEDY)
    try:
        listed = [(str(each["Config"]), tuple(map(str, each["Layers"] or ())), tuple(map(str, each.get("RepoTags") or ()))) for each in json.loads(raw)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ArchiveInvalid(f"the manifest.json of {name} cannot be read", _REMEDY) from None
    return tuple(_image(entries, config, layers, names, name) for config, layers, names in listed)


def _image(entries: _Entries, config: str, layers: tuple[str, ...], names: tuple[str, ...], name: str) -> SavedImage:
    raw = entries.documents.get(posixpath.normpath(config))
    if raw is None:
        raise ArchiveInvalid(f"{name} names a config {config[:200]}, and has none", _REMEDY)
    said = posixpath.basename(config).removesuffix(".json")
    if len(said) == 64 and Digest.of(raw).encoded != said:
        raise ArchiveInvalid(f"{name}: {config[:200]} is {Digest.of(raw)}: it was altered", _REMEDY)
    parsed = parse_config(raw, name)
    found = [_layer(entries, layer, name) for layer in layers]
    for number, (wanted, (content, _)) in enumerate(zip(parsed.contents, found, strict=False)):
        if wanted != content:
            raise ArchiveInvalid(f"{name}: layer {number + 1} is {content}, and its image's is {wanted}: it was altered", _REMEDY)
    if len(parsed.contents) != len(found):
        raise ArchiveInvalid(f"{name} has {len(found)} layers of an image of {len(parsed.contents)}", _REMEDY)
    return SavedImage(raw, parsed, tuple(layer for _, layer in found), names)


def _layer(entries: _Entries, name: str, archive: str) -> tuple[Digest, Descriptor]:
    path = posixpath.normpath(name)
    for _ in range(len(entries.links) + 1):
        if path in entries.layers:
            return entries.layers[path]
        if path not in entries.links:
            break
        path = entries.links[path]
    raise ArchiveInvalid(f"{archive} names a layer {name[:200]}, and has none that could be read", _REMEDY)
