"""Catalog: what the manifests seen so far say about digests: which are manifests, of whom, and how large blobs are."""

from __future__ import annotations

import threading

from registry_snapshot.errors import BlobUnknown, ManifestInvalid
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import Index
from registry_snapshot.oci.reference import Repository
from registry_snapshot.store.base import BlobReader
from registry_snapshot.store.closure import MAX_DEPTH, holds_others, read_manifest


class Catalog:
    """Knowledge gained from manifests. Safe for threads."""

    def __init__(self, blobs: BlobReader) -> None:
        self._blobs = blobs
        self._lock = threading.Lock()
        self._manifests: dict[tuple[Repository, Digest], Descriptor] = {}
        self._manifest_digests: set[Digest] = set()
        self._leaves: dict[Digest, Descriptor] = {}

    def learn(self, repository: Repository, descriptor: Descriptor, depth: int = 0) -> None:
        """Take in a manifest of ``repository`` and all below it that is in the store."""
        with self._lock:
            self._manifests.setdefault((repository, descriptor.digest), descriptor)
            self._manifest_digests.add(descriptor.digest)
        try:
            parsed = read_manifest(self._blobs, descriptor)
        except (BlobUnknown, ManifestInvalid):
            return  # not fetched yet; or of a kind without children
        for child in parsed.manifests if isinstance(parsed, Index) else parsed.children():
            if not holds_others(child):
                with self._lock:
                    self._leaves.setdefault(child.digest, child)
            elif depth < MAX_DEPTH:
                self.learn(repository, child, depth + 1)

    def manifest(self, repository: Repository, digest: Digest) -> Descriptor | None:
        """Return the manifest's descriptor if the repository is known to have it."""
        with self._lock:
            return self._manifests.get((repository, digest))

    def is_manifest(self, digest: Digest) -> bool:
        """Tell whether a digest is known to be a manifest's, anywhere."""
        with self._lock:
            return digest in self._manifest_digests

    def blob(self, digest: Digest) -> Descriptor:
        """Return a blob's descriptor; its size is negative if no manifest named it yet."""
        with self._lock:
            return self._leaves.get(digest) or Descriptor(media_types.OCTETS, digest, -1)
