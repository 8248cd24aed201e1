"""Images out of a file: an OCI image layout in a tar, as ``save``, skopeo and docker write it, or the archive of ``docker save``.

The file comes from anywhere. Each blob is hashed against its name, only what the named images need is taken, and a name is given last.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from bundler.bases.tar_limits import BoundedTarInfo
from bundler.cluster_images.docker_archive import MOST_ENTRIES, read_docker_archive
from bundler.cluster_images.from_docker import keep
from bundler.cluster_images.layers import LayerMemory
from bundler.cluster_images.save import DOCKERS, INDEX, LAYOUT, blob_name
from bundler.cluster_images.store import ClusterImages
from bundler.errors import ArchiveInvalid
from installer_stub.phases.reporter import Reporter
from registry_snapshot.errors import DigestMismatch, ManifestInvalid, RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import MAX_MANIFEST_BYTES, Index, parse_manifest
from registry_snapshot.oci.media_types import OCI_INDEX
from registry_snapshot.oci.reference import Reference, looks_like_registry
from registry_snapshot.store.closure import MAX_DEPTH, holds_others
from registry_snapshot.store.layout_index import IMAGE_NAME, REF_NAME

_PIECE: Final = 1 << 20
_MOST_PARTS: Final = 100_000  # of all images of a file
_REMEDY: Final = "compare its size and sum with where it comes from, and save it again there"
_NAME_IT: Final = "give it one: airseal load FILE --as NAME:TAG"

Loaded = tuple[Reference, Descriptor]


def load(images: ClusterImages, path: Path, reporter: Reporter, name: Reference | None = None) -> tuple[Loaded, ...]:
    """Take the images of a file into the blobs and return their names; the caller holds the cache (``in_use``) and puts them.

    ``name`` is what the only image of the file is to be called, whatever the file calls it. Raises ArchiveInvalid, ClusterImageInvalid, StoreError.
    """
    try:
        with path.open("rb") as file:
            names = _members(file, path)
            file.seek(0)
            if {LAYOUT, INDEX} <= names.keys():
                return _named(_Layout(images, path, file, names).load(), path, name)
            if DOCKERS in names:
                saved = read_docker_archive(file, images.blobs, LayerMemory(images.cache, images.blobs), reporter, str(path))
                tagged = [(tag, keep(images.blobs, each)) for each in saved for tag in each.names or ("",)]
                return _named([(Reference.parse(tag) if tag else None, made) for tag, made in tagged], path, name)
    except tarfile.TarError as error:
        raise ArchiveInvalid(f"{path} is torn, or no tar: {error}", _packed(path) or _REMEDY) from None
    except (OSError, EOFError) as error:
        if isinstance(error, OSError) and error.filename is not None and Path(error.filename) == path:
            raise ArchiveInvalid(f"{path} cannot be read: {error.strerror}", "name a file that airseal save, docker save or skopeo wrote") from None
        raise
    except (ManifestInvalid, DigestMismatch) as error:
        raise ArchiveInvalid(f"{path}: {error.problem}", _REMEDY) from None
    raise ArchiveInvalid(f"{path} holds neither an OCI layout ({LAYOUT}, {INDEX}) nor docker's {DOCKERS}", "name a file that airseal save, docker save or skopeo wrote")


def _named(found: list[tuple[Reference | None, Descriptor]], path: Path, name: Reference | None) -> tuple[Loaded, ...]:
    if name is not None:
        if len({made.digest for _, made in found}) != 1:
            raise ArchiveInvalid(f"{path} holds {len(found)} images, and one name was given", "load it without --as, then: airseal tag")
        return ((name, found[0][1]),)
    if not found or any(reference is None for reference, _ in found):
        raise ArchiveInvalid(f"{path} holds {'an image without a name' if found else 'no image'}", _NAME_IT if found else _REMEDY)
    return tuple((reference, made) for reference, made in found if reference is not None)


@dataclass(frozen=True, slots=True)
class _Layout:
    """An OCI layout in a tar whose members are known."""

    images: ClusterImages
    path: Path
    file: IO[bytes]
    members: Mapping[str, tarfile.TarInfo]

    def load(self) -> list[tuple[Reference | None, Descriptor]]:
        index = parse_manifest(self._bytes(INDEX), OCI_INDEX)
        if not isinstance(index, Index):
            raise ArchiveInvalid(f"the {INDEX} of {self.path} is no index", _REMEDY)
        return [(self._name(descriptor), self._take(descriptor)) for descriptor in index.manifests]

    def _take(self, listed: Descriptor) -> Descriptor:
        """Return the image that the file really has of what is listed, its parts stored."""
        root = Descriptor(listed.media_type, listed.digest, listed.size)
        root = self._present(root)
        waiting, seen = [(root, 0)], {root.digest}
        while waiting:
            descriptor, depth = waiting.pop()
            self._ingest(descriptor)
            if not holds_others(descriptor):
                continue
            parsed = parse_manifest(self.images.blobs.read(descriptor.digest), descriptor.media_type)
            children = parsed.manifests if isinstance(parsed, Index) else parsed.children()
            fresh = list({child.digest: child for child in children if child.digest not in seen}.values())
            seen |= {child.digest for child in fresh}
            if depth == MAX_DEPTH or len(seen) > _MOST_PARTS:
                raise ArchiveInvalid(f"{self.path}: {root.digest} has more parts than any image", _REMEDY)
            waiting += [(child, depth + 1) for child in fresh]
        return root

    def _present(self, root: Descriptor) -> Descriptor:
        """Return ``root``, or the only image that is there of an index whose others were left out, as docker and skopeo write it."""
        if blob_name(root) not in self.members or not holds_others(root):
            return root
        parsed = parse_manifest(self._bytes(blob_name(root)), root.media_type)
        if not isinstance(parsed, Index):
            return root
        there = [child for child in parsed.manifests if blob_name(child) in self.members]
        images = [child for child in there if child.platform is None or child.platform.os != "unknown"]
        return Descriptor(images[0].media_type, images[0].digest, images[0].size) if len(there) < len(parsed.manifests) and len(images) == 1 else root

    def _ingest(self, part: Descriptor) -> None:
        blobs = self.images.blobs
        if part.digest in blobs and blobs.size(part.digest) == part.size:
            return
        member = self.members.get(blob_name(part))
        if member is None:
            raise ArchiveInvalid(f"{self.path} has no {part.digest}, which its image needs: it is torn", _REMEDY)
        if member.size != part.size:
            raise ArchiveInvalid(f"{self.path}: {part.digest} has {member.size} bytes, and is listed with {part.size}", _REMEDY)
        with blobs.ingest(part.digest) as writer:
            self.file.seek(member.offset_data)
            left = member.size
            while left and (piece := self.file.read(min(_PIECE, left))):
                writer.write(piece)
                left -= len(piece)
            writer.commit()

    def _bytes(self, name: str) -> bytes:
        member = self.members[name]
        if member.size > MAX_MANIFEST_BYTES:
            raise ArchiveInvalid(f"{self.path}: {name} has {member.size} bytes", _REMEDY)
        self.file.seek(member.offset_data)
        data = self.file.read(member.size)
        if name.startswith("blobs/sha256/") and Digest.of(data).encoded != name.rpartition("/")[2]:
            raise ArchiveInvalid(f"{self.path}: {name} is {Digest.of(data)}: it was altered", _REMEDY)
        return data

    def _name(self, descriptor: Descriptor) -> Reference | None:
        for key in (IMAGE_NAME, REF_NAME):
            text = descriptor.annotations.get(key, "")
            if looks_like_registry(text.partition("/")[0]) and "/" in text:
                try:
                    return Reference.parse(text)
                except RegistryError as error:
                    raise ArchiveInvalid(f"{self.path}: {error.problem}", _NAME_IT) from None
        return None


def _members(file: IO[bytes], path: Path) -> dict[str, tarfile.TarInfo]:
    """Return the regular files of a tar by their names. Raises TarError, ArchiveInvalid."""
    found: dict[str, tarfile.TarInfo] = {}
    with tarfile.open(fileobj=file, mode="r:", tarinfo=BoundedTarInfo) as tar:
        for number, entry in enumerate(tar):
            if number == MOST_ENTRIES:
                raise ArchiveInvalid(f"{path} has more than {MOST_ENTRIES} entries", "name an archive of images")
            tar.members.clear()  # type: ignore[attr-defined] # it remembers every entry, and is never asked for one again
            if entry.isreg() and not entry.issparse():
                found[entry.name.removeprefix("./")] = entry
    return found


def _packed(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4)
    tool = "gunzip" if head.startswith(b"\x1f\x8b") else "zstd -d" if head == b"\x28\xb5\x2f\xfd" else ""
    return f"unpack it first: {tool} {path}" if tool else ""
