"""The store of cluster images: names, each of a manifest or an index that lies whole among the blobs of the cache.

::

    CACHE/cluster-images/SHA256-OF-NAME.json   one name: reference, descriptor, when it was given
    CACHE/store                                the blobs, with those of everything else

A name is one file that is replaced as a whole, so two processes need no lock to write two of them, and of two that write the same one
the later stays. What a name leads to is held: a prune leaves it (``bundler.cache``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bundler.cache.builds import in_use
from bundler.cluster_images.names import full_name, short_name
from bundler.errors import ClusterImageIncomplete, ClusterImageUnknown
from registry_snapshot.errors import BlobUnknown, ManifestInvalid, RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import Manifest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.bounded import read_file
from registry_snapshot.store.closure import closure, holds_others, read_manifest
from registry_snapshot.store.disk import DiskBlobStore, write_file
from registry_snapshot.store.durable import make_directory, sync_directory

NAMES: Final = "cluster-images"
_FORMAT: Final = "airseal.cluster-image/1"
_MOST: Final = 1 << 16  # bytes of one file
_SHOWN: Final = 10  # names that an error tells
_MOST_ENGINES: Final = 8


@dataclass(frozen=True, slots=True)
class ClusterImage:
    """One name of the store. ``descriptor`` is of a manifest, or of an index for several platforms; ``time`` in seconds since 1970.

    ``built``: a build gave the name, and a prune may take it away with what it remembers of that build; every other stays until ``rm``.
    ``docker``: what engines have called it. One that keeps images in containerd has a digest of its own for what it made around the config,
    any other calls it by the config's, whether or not that stands here.
    """

    reference: Reference
    descriptor: Descriptor
    time: float = 0.0
    built: bool = False
    docker: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What a person calls it."""
        return short_name(self.reference)


@dataclass(frozen=True, slots=True)
class Removed:
    """A name that is gone, and the parts of its image that no other cluster image has."""

    image: ClusterImage
    unnamed: tuple[Descriptor, ...]

    @property
    def size(self) -> int:
        """Bytes of them."""
        return sum(part.size for part in self.unnamed)


class ClusterImages:
    """The store in a cache. Safe for several threads and processes."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.blobs = DiskBlobStore(cache / "store")
        self._names = cache / NAMES

    def all(self) -> tuple[ClusterImage, ...]:
        """Return every name, in their order. A file that is none of ours is left out."""
        found = (self._read(path) for path in self._names.glob("*.json"))
        return tuple(sorted((image for image in found if image is not None), key=lambda image: str(image.reference)))

    def known(self, reference: Reference) -> ClusterImage | None:
        """Return the image of a reference as it is written in full; one with a digest only if it has that digest. None if it is not here.

        A digest without a tag is that of any name of the repository.
        """
        if reference.tag is not None:
            image = self._read(self._path(replace(reference, digest=None)))
            return image if image is None or reference.digest in {None, image.descriptor.digest} else None
        same = (image for image in self.all() if image.reference.repository == reference.repository)
        return next((image for image in same if image.descriptor.digest == reference.digest), None)

    def find(self, name: str) -> ClusterImage:
        """Return what a person means by ``name``. Raises ClusterImageUnknown, UsageError for what is no name."""
        image = self.known(full_name(name))
        if image is None:
            raise ClusterImageUnknown(f"there is no cluster image {name[:300]} in {self.cache}", self._remedy(name))
        return image

    def put(self, reference: Reference, descriptor: Descriptor, *, built: bool = False, docker: str = "") -> None:
        """Give what ``descriptor`` leads to a name, in place of what had it. Returns when that is on the disk.

        A digest in ``reference`` is dropped where there is a tag; ``docker`` is the ID that an engine has just told. Sizes are looked at and
        manifests read; what is in the blobs was hashed when it came. Raises ClusterImageIncomplete where anything is missing, of an index the
        children for every platform; StoreError, OSError.
        """
        # Names are given seldom, and looked up by every verb.
        from bundler.cluster_images.layers import claim_layers

        named = replace(reference, digest=None) if reference.tag is not None else reference
        make_directory(self._names)
        with in_use(self.cache):
            parts = self.parts(ClusterImage(named, descriptor))
            read = (read_manifest(self.blobs, part) for part in parts if holds_others(part))
            claim_layers(self.cache, self.blobs, (each for each in read if isinstance(each, Manifest)))
            before = self._read(self._path(named))
            known = before.docker if before is not None and before.descriptor == descriptor else ()
            self._write(ClusterImage(named, descriptor, time.time(), built, _with(known, docker) if docker else known))

    def is_in_docker(self, image: ClusterImage, identity: str) -> None:
        """Remember what an engine that was given an image calls it. One whose name has become another's meanwhile stays as it is. Raises OSError."""
        with in_use(self.cache):
            known = self._read(self._path(image.reference))
            if known is not None and known.descriptor == image.descriptor:
                self._write(replace(known, docker=_with(known.docker, identity)))

    def remove(self, name: str) -> Removed:
        """Take a name away, and say what no other name has. Blobs stay until a prune. Raises ClusterImageUnknown, UsageError, OSError."""
        self.find(name)  # a cache that is not there has no lock either
        with in_use(self.cache):
            image = self.find(name)
            others = roots(self, [each for each in self.all() if each.reference != image.reference])
            try:
                unnamed = tuple(part for part in self.parts(image) if part.digest not in others)
            except ClusterImageIncomplete:  # a name of something that is damaged can be taken away too
                unnamed = ()
            self.forget(image)
        return Removed(image, unnamed)

    def forget(self, image: ClusterImage) -> None:
        """Take a name away, for whoever holds the cache already. Raises OSError."""
        self._path(image.reference).unlink(missing_ok=True)
        sync_directory(self._names)

    def parts(self, image: ClusterImage) -> tuple[Descriptor, ...]:
        """Return everything that an image consists of, each once, parents first. Raises ClusterImageIncomplete, StoreError."""
        if not holds_others(image.descriptor):
            raise ClusterImageIncomplete(f"{image.name} is {image.descriptor.media_type[:100]!r}, neither a manifest nor an index", "name an image")
        try:
            return closure(self.blobs, image.descriptor, None)
        except (BlobUnknown, ManifestInvalid) as error:
            remedy = "bring it anew: airseal build, airseal pull or airseal load"
            raise ClusterImageIncomplete(f"the cluster image {image.name} is not whole in {self.cache}: {error.problem}", remedy) from None

    def _write(self, image: ClusterImage) -> None:
        value = {"format": _FORMAT, "reference": str(image.reference), "descriptor": image.descriptor.to_json(), "time": image.time, "built": image.built}
        write_file(self._path(image.reference), json.dumps(value | ({"docker": image.docker} if image.docker else {})).encode())

    def _path(self, reference: Reference) -> Path:
        return self._names / f"{Digest.of(str(reference).encode()).encoded}.json"

    def _read(self, path: Path) -> ClusterImage | None:
        try:
            value = json.loads(read_file(path, _MOST))
            docker = tuple(str(each) for each in value.get("docker", ()))
            image = ClusterImage(Reference.parse(str(value["reference"])), Descriptor.from_json(value["descriptor"]), float(value["time"]), bool(value.get("built")), docker)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, RegistryError):
            return None
        return image if value.get("format") == _FORMAT and self._path(image.reference) == path else None

    def _remedy(self, name: str) -> str:
        names = [image.name for image in self.all()]
        there = f"there are {', '.join(names[:_SHOWN])}" + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "") if names else "there is none"
        return f"{there}; one of a registry comes with: airseal pull {name[:300]}"


def _with(known: tuple[str, ...], identity: str) -> tuple[str, ...]:
    """Return IDs with one more, the last that was told at the end."""
    return (*(each for each in known if each != identity), identity)[-_MOST_ENGINES:]


def roots(images: ClusterImages, named: Iterable[ClusterImage]) -> dict[Digest, tuple[ClusterImage, ...]]:
    """Return the digests of all parts of some images, and whose they are. What is not whole holds its manifest alone: nobody can use the rest."""
    found: dict[Digest, tuple[ClusterImage, ...]] = {}
    for image in named:
        try:
            parts: tuple[Descriptor, ...] = images.parts(image)
        except ClusterImageIncomplete:
            parts = (image.descriptor,)
        for part in parts:
            found[part.digest] = (*found.get(part.digest, ()), image)
    return found
