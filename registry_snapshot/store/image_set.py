"""ImageSet: a fixed set of images over any blobs, as RegistryContent. What a site registry and a test upstream serve."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from registry_snapshot.errors import BlobUnknown, ManifestUnknown, NameUnknown
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import MAX_MANIFEST_BYTES, Index, as_referrer, parse_manifest
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.store.base import BlobReader, Extent
from registry_snapshot.store.bounded import read_blob
from registry_snapshot.store.closure import holds_others


@dataclass(frozen=True, slots=True)
class _Contents:
    """What one manifest leads to: its children, and, if it has a subject, that and how it is listed among its referrers."""

    children: tuple[Descriptor, ...]
    refers: tuple[Digest, Descriptor] | None


@dataclass(slots=True)
class _Holding:
    """What one repository has."""

    tags: dict[str, Descriptor] = field(default_factory=dict)
    manifests: dict[Digest, Descriptor] = field(default_factory=dict)
    blobs: set[Digest] = field(default_factory=set)
    referrers: dict[Digest, list[Descriptor]] = field(default_factory=dict)


class ImageSet:
    """RegistryContent over ``images``. A repository offers what its own images reach and nothing else.

    Children of a sparse index that are not there, and manifests whose bytes are others, are unknown, not an error. A manifest
    is read once, however many repositories have it, and only here: every question afterwards is a look-up, and a manifest's
    bytes one read.
    Raises ManifestInvalid, StoreError.
    """

    def __init__(self, blobs: BlobReader, images: Iterable[tuple[Reference, Descriptor]]) -> None:
        self._blobs = blobs
        self._holdings: dict[Repository, _Holding] = {}
        known: dict[Digest, _Contents | None] = {}
        for reference, descriptor in images:
            holding = self._holdings.setdefault(reference.repository, _Holding())
            if reference.tag is not None:
                holding.tags[reference.tag] = descriptor
            self._take(holding, descriptor, known)
        for holding in self._holdings.values():
            holding.tags = dict(sorted(holding.tags.items()))
            # What is a manifest to one image and a layer to another is a manifest: see RegistryContent.blob.
            holding.blobs -= holding.manifests.keys()

    @property
    def registries(self) -> frozenset[str]:
        """The registries whose images are here."""
        return frozenset(repository.registry for repository in self._holdings)

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
        return descriptor.media_type, self._bytes(digest)

    def blob(self, repository: Repository, digest: Digest) -> Extent:
        """Return a blob that is no manifest, open. Raises NameUnknown, BlobUnknown."""
        if digest not in self._holding(repository).blobs:
            raise BlobUnknown(f"there is no blob {repository}@{digest} here")
        return self._blobs.open(digest)

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return the repository's tags, sorted. Raises NameUnknown."""
        return tuple(self._holding(repository).tags)

    def referrers(self, repository: Repository, digest: Digest, *, client: str) -> tuple[Descriptor, ...]:
        """Return the manifests of the repository whose subject is ``digest``: tagged, listed by an index, or both."""
        del client
        holding = self._holdings.get(repository)
        return tuple(holding.referrers.get(digest, ())) if holding is not None else ()

    def _holding(self, repository: Repository) -> _Holding:
        holding = self._holdings.get(repository)
        if holding is None:
            raise NameUnknown(f"there is no repository {repository} here")
        return holding

    def _take(self, holding: _Holding, root: Descriptor, known: dict[Digest, _Contents | None]) -> None:
        waiting = [root]
        while waiting:
            descriptor = waiting.pop()
            digest = descriptor.digest
            if not holds_others(descriptor):
                holding.blobs.add(digest)
                continue
            if digest in holding.manifests:
                continue
            if digest not in known:
                known[digest] = self._read(descriptor)
            contents = known[digest]
            if contents is None:
                continue
            holding.manifests[digest] = descriptor
            waiting += reversed(contents.children)
            if contents.refers is not None:
                subject, referrer = contents.refers
                holding.referrers.setdefault(subject, []).append(referrer)

    def _bytes(self, digest: Digest) -> bytes:
        """Return a manifest's bytes. Raises BlobUnknown, and ManifestUnknown for what this disk has lost: whoever asks for it is sent elsewhere."""
        try:
            raw = read_blob(self._blobs, digest, MAX_MANIFEST_BYTES)
        except OSError as error:
            raise ManifestUnknown(f"the manifest {digest} cannot be read from this disk: {error.strerror}") from error
        if Digest.of(raw, digest.algorithm) != digest:
            raise ManifestUnknown(f"the manifest {digest} is damaged on this disk")
        return raw

    def _read(self, descriptor: Descriptor) -> _Contents | None:
        try:
            parsed = parse_manifest(self._bytes(descriptor.digest), descriptor.media_type)
        except (BlobUnknown, ManifestUnknown):
            return None
        children = parsed.manifests if isinstance(parsed, Index) else parsed.children()
        refers = (parsed.subject.digest, as_referrer(descriptor, parsed)) if parsed.subject is not None else None
        return _Contents(children, refers)
