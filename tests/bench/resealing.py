"""An artifact's own content, ready to be sealed again, with or without ballast."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bundler.image_lock import all_blobs
from bundler.pack.artifact import seal
from bundler.pack.stub_runtime import StubRuntime, extent_of
from installer_stub.bundle.cluster_files import cluster_manifest
from installer_stub.bundle.model import FILE_PLAIN, BundleInfo, ClusterCommand, ClusterFile, ImageLock
from installer_stub.bundle.names import BUNDLE, LOCK
from installer_stub.bundle.reader import Bundle
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import descriptor_of
from registry_snapshot.oci.media_types import OCI_MANIFEST
from registry_snapshot.store.base import BlobReader, Extent


class Quiet:
    """A Reporter that says nothing."""

    def step(self, text: str) -> None:
        del text

    def moved(self, what: str, count: int, total: int) -> None:
        del what, count, total


@dataclass(frozen=True)
class Resealing:
    """Everything that ``seal`` takes, from an artifact that is open."""

    bundle: Bundle
    runtime: StubRuntime
    info: BundleInfo
    blobs: BlobReader
    digests: tuple[Digest, ...]
    left_out: str = ""

    @classmethod
    def of(cls, bundle: Bundle, work: Path) -> Resealing:
        """Take the stub apart into ``work``."""
        return cls(bundle, StubRuntime.of_bundle(bundle, work), bundle.info, bundle.blobs, bundle.blobs.digests())

    def with_ballast(self, file: Path) -> Resealing:
        """Return the same with ``file`` among the cluster files, as it is."""
        with file.open("rb") as stream:
            digest = Digest("sha256", hashlib.file_digest(stream, "sha256").hexdigest())
        size = file.stat().st_size
        ballast = ClusterFile("ballast", 0o644, size, digest, Descriptor(FILE_PLAIN, digest, size))
        raw = cluster_manifest([*self.bundle.cluster_files(), ballast])
        cluster = descriptor_of(raw, OCI_MANIFEST)
        document = file.with_name("ballast.json")
        document.write_bytes(raw)
        return replace(
            self,
            info=replace(self.info, cluster=cluster, files_size=self.info.files_size + size),
            blobs=_More(self.blobs, {digest: file, cluster.digest: document}),
            digests=tuple(sorted({*self.digests, digest, cluster.digest} - {self.info.cluster.digest})),
        )

    def with_command(self, text: str) -> Resealing:
        """Return the same with one more CMD, the last one, in the shell form."""
        added = ClusterCommand(("/bin/sh", "-ec", text))
        return replace(self, info=replace(self.info, commands=(*self.info.commands, added)))

    def without(self, reference: str) -> Resealing:
        """Return the same without one image."""
        platforms = tuple(Platform.parse(text) for text in self.info.platforms)
        kept = [descriptor for name, descriptor in self.bundle.images() if str(name) != reference]
        digests = all_blobs([*kept, self.info.cluster], self.blobs, platforms)
        info = replace(self.info, images_size=sum(blob.size for blob in all_blobs(kept, self.blobs, platforms).values()))
        return replace(self, info=info, digests=tuple(sorted(digests)), left_out=reference)

    def seal(self, target: Path) -> None:
        """Seal it, on the disk when this returns."""
        documents = [
            name for name in self.bundle.names() if name.startswith("airseal/") and name not in {BUNDLE, LOCK}
        ]
        seal(
            target,
            info=self.info,
            lock=ImageLock(tuple(image for image in self.bundle.lock.images if str(image.reference) != self.left_out)),
            blobs=self.blobs,
            digests=self.digests,
            runtime=self.runtime,
            reporter=Quiet(),
            documents={name: self.bundle.read(name) for name in documents},
        )


@dataclass(frozen=True)
class _More:
    """A BlobReader, and some files besides."""

    blobs: BlobReader
    files: Mapping[Digest, Path]

    def size(self, digest: Digest) -> int:
        return self.files[digest].stat().st_size if digest in self.files else self.blobs.size(digest)

    def open(self, digest: Digest) -> Extent:
        return extent_of(self.files[digest]) if digest in self.files else self.blobs.open(digest)
