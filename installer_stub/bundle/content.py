"""BundleContent: one or several artifacts as the content of one registry. Answers only from what was sealed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from registry_snapshot.errors import BlobUnknown, ManifestUnknown, NameUnknown, RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.store.base import BlobReader, Extent
from registry_snapshot.store.image_set import ImageSet

T = TypeVar("T")

_REMEDY = "only what was recorded when the bundle was built is here; the verb images lists it"


class Sealed(Protocol):
    """Something with named images in it: an artifact, or an OCI layout on disk."""

    @property
    def roots(self) -> Sequence[tuple[Reference, Descriptor]]:
        """Every name, and what it stands for."""

    @property
    def blobs(self) -> BlobReader:
        """The blobs they lead to."""


class BundleContent:
    """A RegistryContent. Where two artifacts give one tag to different images, the first in the sequence wins.

    The other stays reachable by digest. The cluster files of each are under ``airseal.internal/cluster/NAME:VERSION``.
    """

    def __init__(self, bundles: Sequence[Sealed]) -> None:
        self._sets = tuple(ImageSet(bundle.blobs, bundle.roots) for bundle in bundles)

    @property
    def registries(self) -> frozenset[str]:
        """The registries whose images are in the bundles."""
        return frozenset().union(*(images.registries for images in self._sets))

    def resolve(self, repository: Repository, tag: str, *, client: str, method: str) -> Descriptor:
        """Return what ``tag`` was when the bundle was built. Raises NameUnknown, ManifestUnknown."""
        unknown = ManifestUnknown(f"{repository}:{tag} is not in the bundle", _REMEDY)
        return self._first(repository, lambda images: images.resolve(repository, tag, client=client, method=method), unknown)

    def manifest(self, repository: Repository, digest: Digest, *, client: str, method: str) -> tuple[str, bytes]:
        """Return a manifest's media type and exact bytes. Raises NameUnknown, ManifestUnknown."""
        unknown = ManifestUnknown(f"{repository}@{digest} is not in the bundle", _REMEDY)
        return self._first(repository, lambda images: images.manifest(repository, digest, client=client, method=method), unknown)

    def blob(self, repository: Repository, digest: Digest) -> Extent:
        """Return a blob of the repository, open. Raises NameUnknown, BlobUnknown."""
        unknown = BlobUnknown(f"the blob {digest} of {repository} is not in the bundle", _REMEDY)
        return self._first(repository, lambda images: images.blob(repository, digest), unknown)

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return the repository's tags in all bundles, sorted. Raises NameUnknown."""
        found: set[str] = set()
        known = False
        for images in self._sets:
            try:
                found |= set(images.tags(repository))
                known = True
            except NameUnknown:
                continue
        if not known:
            raise NameUnknown(f"{repository} is not in the bundle", _REMEDY)
        return tuple(sorted(found))

    def referrers(self, repository: Repository, digest: Digest, *, client: str) -> tuple[Descriptor, ...]:
        """Return the manifests in all bundles whose subject is ``digest``, each once."""
        found = (item for images in self._sets for item in images.referrers(repository, digest, client=client))
        return tuple({item.digest: item for item in found}.values())

    def _first(self, repository: Repository, ask: Callable[[ImageSet], T], unknown: RegistryError) -> T:
        error: RegistryError = NameUnknown(f"{repository} is not in the bundle", _REMEDY)
        for images in self._sets:
            try:
                return ask(images)
            except NameUnknown:
                continue
            except (ManifestUnknown, BlobUnknown):
                error = unknown
        raise error
