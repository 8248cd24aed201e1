"""ImageSet: a fixed set of images over any blobs, as RegistryContent. What a site registry and a test upstream serve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from registry_snapshot.errors import BlobUnknown, ManifestUnknown, NameUnknown
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import Index
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.store.base import BlobReader, Extent
from registry_snapshot.store.closure import MAX_DEPTH, holds_others, read_blob, read_manifest


@dataclass(slots=True)
class _Holding:
    """What one repository has."""

    tags: dict[str, Descriptor] = field(default_factory=dict)
    manifests: dict[Digest, Descriptor] = field(default_factory=dict)
    blobs: set[Digest] = field(default_factory=set)


class ImageSet:
    """RegistryContent over ``images``. A repository offers what its own images reach and nothing else.

    Children of a sparse index that are not there are unknown, not an error.
    """

    def __init__(self, blobs: BlobReader, images: Iterable[tuple[Reference, Descriptor]]) -> None:
        self._blobs = blobs
        holdings: dict[Repository, _Holding] = {}
        for reference, descriptor in images:
            holding = holdings.setdefault(reference.repository, _Holding())
            if reference.tag is not None:
                holding.tags[reference.tag] = descriptor
            self._take(holding, descriptor, 0)
        self._holdings: Mapping[Repository, _Holding] = holdings

    def resolve(self, repository: Repository, tag: str, *, client: str, method: str) -> Descriptor:
        """Return what ``tag`` names. Raises NameUnknown, ManifestUnknown."""
        del client, method
        descriptor = self._holding(repository).tags.get(tag)
        if descriptor is None:
            raise ManifestUnknown(f"there is no {repository}:{tag} here")
        return descriptor

    def manifest(self, repository: Repository, digest: Digest, *, client: str, method: str) -> tuple[str, bytes]:
        """Return a manifest's media type and exact bytes. Raises NameUnknown, ManifestUnknown."""
        del client, method
        descriptor = self._holding(repository).manifests.get(digest)
        if descriptor is None:
            raise ManifestUnknown(f"there is no manifest {repository}@{digest} here")
        return descriptor.media_type, read_blob(self._blobs, digest)

    def blob(self, repository: Repository, digest: Digest) -> Extent:
        """Return a blob that is no manifest, open. Raises NameUnknown, BlobUnknown."""
        if digest not in self._holding(repository).blobs:
            raise BlobUnknown(f"there is no blob {repository}@{digest} here")
        return self._blobs.open(digest)

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return the repository's tags, sorted. Raises NameUnknown."""
        return tuple(sorted(self._holding(repository).tags))

    def referrers(self, repository: Repository, digest: Digest, *, client: str) -> tuple[Descriptor, ...]:
        """Return the manifests of the repository whose subject is ``digest``."""
        del repository, digest, client
        return ()

    def _holding(self, repository: Repository) -> _Holding:
        holding = self._holdings.get(repository)
        if holding is None:
            raise NameUnknown(f"there is no repository {repository} here")
        return holding

    def _take(self, holding: _Holding, descriptor: Descriptor, depth: int) -> None:
        if descriptor.digest in holding.manifests or depth > MAX_DEPTH:
            return
        if not holds_others(descriptor):
            holding.blobs.add(descriptor.digest)
            return
        try:
            parsed = read_manifest(self._blobs, descriptor)
        except BlobUnknown:
            return
        holding.manifests[descriptor.digest] = descriptor
        for child in parsed.manifests if isinstance(parsed, Index) else parsed.children():
            self._take(holding, child, depth + 1)
