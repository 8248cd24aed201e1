"""The step that seals: everything that an artifact is made of, measured, and the file that it becomes.

The same content gives the same bytes, whenever and wherever it is sealed. What cannot be the same is in one document, the receipt
(``airseal/rehearsal.json``), and in what ``airseal/bundle.json`` and the directory of the archive say of that: when and how long it
was rehearsed, by which engine (ADR 0024).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bundler.cache.builds import remember_build
from bundler.image_lock import all_blobs
from bundler.layer_sizes import is_layer, unpacked_size
from bundler.pack.artifact import Sealed, Sign, seal
from bundler.pack.stub_runtime import StubRuntime
from bundler.signing.signing import Signing
from bundler.steps import proofs, sums
from bundler.steps.recorded import Recorded
from installer_stub.bundle import receipt as receipts
from installer_stub.bundle.coverage import encode_coverage
from installer_stub.bundle.documents import BundleDocument, encode_bundle, encode_lock
from installer_stub.bundle.model import BundleInfo, ImageLock
from installer_stub.bundle.names import COVERAGE, RECEIPT
from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.reasons import is_attached
from installer_stub.bundle.receipt import Receipt
from installer_stub.phases.reporter import Reporter
from installer_stub.ui.transfer import duration, size
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.base import BlobReader
from registry_snapshot.store.disk import DiskBlobStore


@dataclass(frozen=True, slots=True)
class Built:
    """What was sealed: the figures of the closing lines. Sizes in bytes.

    ``content`` stands for what the file brings to a site: the same whenever the same is built.
    """

    sealed: Sealed
    info: BundleInfo
    content: Digest
    size: int
    lock: ImageLock
    blobs: int
    receipt: Receipt
    quiet: tuple[str, ...] = ()  # for how long nothing happened before the recording ended, and what was watched
    signers: tuple[str, ...] = ()  # the keys that signed it, as ssh-keygen -l shows them
    table: tuple[str, ...] = ()  # every image, its size and why it is there; what was seen and is not

    @property
    def path(self) -> Path:
        """The file."""
        return self.sealed.path

    def lines(self, seconds: float) -> tuple[str, ...]:
        """Return the closing summary of what took so long."""
        return (
            *self.table,
            f"sealed {self.info.title} into {self.path}: {size(self.size)} in {duration(seconds)}",
            f"  {self.lock.count}: {size(self.info.images_size)} as stored, {size(self.info.images_unpacked_size)} unpacked",
            f"  cluster files: {size(self.info.files_size)} on a host; blobs in all: {self.blobs}",
            f"  sha256 {self.sealed.sha256} of the file, also in {sums.path_of(self.path).name}",
            f"  digest {self.sealed.digest} of the bundle, which names every part by its own",
            *(f"  signed {each}" for each in self.signers),
            f"  content {self.content}, the same whenever the same is built",
            *(f"  {line}" for line in self.quiet),
            f"  {self.receipt.line()}",
            *(f"  note: {note}" for note in self.receipt.notes),
            f"next: copy it to the site, then ./{self.path.name} --master ADDRESS --node ADDRESS",
        )

    def fields(self) -> dict[str, object]:
        """Return the figures for machines."""
        return {
            "path": str(self.path),
            "name": self.info.name,
            "version": self.info.version,
            "sha256": self.sealed.sha256,
            "digest": str(self.sealed.digest),
            "content": str(self.content),
            "size": self.size,
            "images": len(self.lock.images),
            "blobs": self.blobs,
            "imagesSize": self.info.images_size,
            "imagesUnpackedSize": self.info.images_unpacked_size,
            "filesSize": self.info.files_size,
            "signers": list(self.signers),
            "rehearsed": not self.receipt.skipped,
        }


@dataclass(frozen=True, slots=True)
class Whole:
    """All that an artifact is made of, but for the receipt. ``digests`` are all blobs."""

    info: BundleInfo
    recorded: Recorded
    digests: tuple[Digest, ...]
    stub: StubRuntime
    blobs: BlobReader
    is_scanned: bool = True  # otherwise nobody knows what was seen and left out, and the file does not say

    @property
    def content(self) -> bytes:
        """What stands for the file without a receipt: the same for the same file, another one for any other."""
        documents = encode_bundle(BundleDocument(self.info, {}, dict.fromkeys(self.digests, 0))) + encode_lock(self.recorded.lock)
        return documents + encode_coverage(self.recorded.coverage) + self.stub.digest.encode()

    def write(self, target: Path, documents: Mapping[str, bytes], reporter: Reporter, sign: Sign | None = None, ready: Callable[[Sealed], None] | None = None) -> Sealed:
        """Write the file with these further documents. Raises what ``seal`` raises; ``target`` is then what it was before."""
        return seal(
            target,
            info=self.info,
            lock=self.recorded.lock,
            blobs=self.blobs,
            digests=self.digests,
            runtime=self.stub,
            reporter=reporter,
            documents={**({COVERAGE: encode_coverage(self.recorded.coverage)} if self.is_scanned else {}), **documents},
            sign=sign,
            ready=ready,
        )


def measured(info: BundleInfo, recorded: Recorded, stub: StubRuntime, cache: Path, reporter: Reporter) -> Whole:
    """Return everything, with what the images take on a host. Raises BlobUnknown, ManifestInvalid, RegistryError."""
    blobs, platforms = DiskBlobStore(cache / "store"), tuple(map(Platform.parse, info.platforms))
    images = all_blobs([descriptor for _, descriptor in recorded.images], blobs, platforms)
    run = all_blobs([image.descriptor for image in recorded.lock.images if not is_attached(image.reasons)], blobs, platforms)
    layers = [blob for blob in run.values() if is_layer(blob)]  # no host unpacks what is attached
    info = replace(
        info,
        images_size=sum(blob.size for blob in images.values()),
        images_unpacked_size=unpacked_size(layers, blobs, cache / "unpacked", reporter),
    )
    return Whole(info, recorded, tuple(sorted({*images, *all_blobs([info.cluster], blobs, platforms)})), stub, blobs)


def seal_whole(
    whole: Whole, receipt: Receipt, output: Path, *, cache: Path | None, steps: tuple[str, ...], signing: Signing, reporter: Reporter
) -> Built:
    """Write the finished file to ``output``, sums and signature beside it, and let it hold what it is made of in the cache.

    ``steps`` are names of results; a cache of None has nothing of it. Raises SigningError, what ``seal`` raises, StoreError, OSError.
    """
    beside = sums.Beside(signing)
    sealed = whole.write(output, {RECEIPT: receipts.encode(receipt)}, reporter, signing, beside.ready)
    beside.write()
    if cache is not None:
        steps += proofs.names_of(cache, Digest.of(whole.content))
        remember_build(cache, whole.info.title, output, whole.digests, time.time(), steps=steps)
    with Bundle.open(output) as bundle:
        content = bundle.content_digest
    return Built(sealed, whole.info, content, output.stat().st_size, whole.recorded.lock, len(whole.digests), receipt, whole.recorded.quiet, signers=(*signing.fingerprints, *([signing.certified.subject] if signing.certified is not None else [])))
