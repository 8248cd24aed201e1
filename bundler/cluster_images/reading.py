"""The files of an image's /cluster for whoever only looks: hashed as a build would, and nothing of them is compressed or kept."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tarfile import REGTYPE
from typing import IO, Final

from bundler.cluster_images.contents import ImageContents
from bundler.cluster_images.flatten import cluster_tree, flatten
from bundler.cluster_images.layer_tree import walk
from bundler.file_store import CHUNK, FileStore
from bundler.files import ROOT, collect
from installer_stub.bundle.model import FILE_PLAIN, ClusterFile
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.base import BlobReader
from registry_snapshot.store.disk import DiskBlobStore

_SMALL: Final = 4 << 20  # bytes: what declares something is shorter


@dataclass(frozen=True, slots=True)
class ClusterView:
    """Files by path, and the contents of those that are small. ``size`` counts the bytes of all, each content once a layer."""

    files: tuple[ClusterFile, ...]
    blobs: BlobReader
    size: int


class _Nobody:
    """Looking is told by what comes out of it."""

    def step(self, text: str) -> None:
        """Say nothing."""

    def moved(self, what: str, count: int, total: int) -> None:
        """Say nothing."""


class _Looking(FileStore):
    """Keeps small contents as they are, of all others the digest alone."""

    def known(self, digest: Digest) -> Descriptor | None:
        """Return None: nobody remembers."""
        del digest
        return None

    def store(self, content: IO[bytes], digest: Digest, size: int) -> Descriptor:
        """Return what the content would be, stored plainly."""
        if size <= _SMALL and digest not in self.blobs:
            content.seek(0)
            with self.blobs.ingest(digest) as writer:
                while piece := content.read(CHUNK):
                    writer.write(piece)
                writer.commit()
        return Descriptor(FILE_PLAIN, digest, size)


@contextmanager
def cluster_view(contents: ImageContents, blobs: BlobReader, *, whole: bool) -> Iterator[ClusterView]:
    """Give the files of an image as long as the block runs. Raises BuildFailed, ClusterImageInvalid, StoreError.

    Unless ``whole``, files that are not small are listed as if they were empty: their names are there, and nobody waits for their digests.
    """
    root = cluster_tree(contents, blobs)
    sources = {node.entry.source: node.entry.size for _, node in walk(root, ROOT) if node.entry is not None and node.entry.kind == REGTYPE}
    with tempfile.TemporaryDirectory(prefix="airseal-look-") as name:
        store = _Looking(DiskBlobStore(Path(name) / "blobs"), Path(name))
        files = collect(flatten(contents, blobs, root, None if whole else _SMALL), store, _Nobody()).files
        yield ClusterView(files, store.blobs, sum(sources.values()))
