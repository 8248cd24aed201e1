"""Finder: asks for what upstreams keep for images, by the way that images come, and records nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from registry_snapshot.errors import ManifestUnknown, UpstreamError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import Index, Manifest
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.record.puller import Puller
from registry_snapshot.store.base import BlobReader
from registry_snapshot.store.closure import read_manifest


class Finder:
    """A ``Source`` of ``attached``. ``look`` tells what a tag means, ``told`` what a client was told of a digest's referrers before.

    All methods raise ManifestUnknown for what the upstream says is not there, else UpstreamError, ManifestInvalid, StoreError.
    """

    def __init__(
        self,
        puller: Puller,
        blobs: BlobReader,
        look: Callable[[Reference], Descriptor],
        told: Callable[[Reference], tuple[Descriptor, ...] | None],
    ) -> None:
        self._puller = puller
        self._blobs = blobs
        self._told = told
        self.look = look

    def look_for_referrers(self, repository: Repository, digest: Digest) -> tuple[Descriptor, ...]:
        """Return what refers to a manifest."""
        told = self._told(Reference(repository, None, digest))
        if told is not None:
            return told
        with _absent():
            return self._puller.referrers(repository, digest)

    def read(self, repository: Repository, descriptor: Descriptor) -> Manifest | Index:
        """Return a manifest, which is then in the store."""
        with _absent():
            return read_manifest(self._blobs, self._puller.manifest(repository, descriptor.digest, descriptor.media_type).descriptor)

    def complete(self, repository: Repository, root: Descriptor) -> tuple[Descriptor, ...]:
        """Fetch all that a manifest needs, and return it."""
        return self._puller.complete(repository, root)


@contextmanager
def _absent() -> Iterator[None]:
    try:
        yield
    except UpstreamError as error:
        if error.status != 404:
            raise
        raise ManifestUnknown(error.problem, error.remedy) from error
