"""Whether the parts of a bundle agree: what each says of the others, once every byte is known to be what was sealed.

A seal alone does not say that: who seals can write anything into a document. So everything that is said twice is compared, and
nothing is there that nobody names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from installer_stub.bundle.blob_source import BlobSource
from installer_stub.bundle.coverage import Coverage
from installer_stub.bundle.documents import BundleDocument, encode_lock
from installer_stub.bundle.model import BundleInfo, ClusterFile, ImageLock
from installer_stub.bundle.names import INDEX, INTERNAL_REGISTRY, LOCK, OCI_LAYOUT
from installer_stub.bundle.program import HEAD, machine_of, platform_of
from installer_stub.bundle.receipt import Receipt
from installer_stub.trust.sshsig import Signature
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store import layout_index
from registry_snapshot.store.base import Extent
from registry_snapshot.store.closure import closure, identities


class Parts(Protocol):
    """A bundle, open: what ``installer_stub.bundle.reader`` reads."""

    @property
    def document(self) -> BundleDocument:
        """``airseal/bundle.json``."""

    @property
    def info(self) -> BundleInfo:
        """What it says of the bundle."""

    @property
    def lock(self) -> ImageLock:
        """``airseal/images.lock.json``."""

    @property
    def coverage(self) -> Coverage | None:
        """``airseal/coverage.json``."""

    @property
    def receipt(self) -> Receipt | None:
        """``airseal/rehearsal.json``."""

    @property
    def signatures(self) -> tuple[Signature, ...]:
        """The signatures in the file, each of which is right."""

    @property
    def roots(self) -> tuple[tuple[Reference, Descriptor], ...]:
        """Every name of ``index.json``."""

    @property
    def blobs(self) -> BlobSource:
        """All blobs."""

    def bootloader(self) -> Extent:
        """Return the bytes before the first entry, open."""

    def cluster_files(self) -> tuple[ClusterFile, ...]:
        """Return the files of ``/cluster``."""

    def read(self, name: str) -> bytes:
        """Return a document."""


def disagreements(bundle: Parts) -> Iterator[str]:
    """Yield everything that two parts do not agree on, as sentences. Raises BundleError for a document that is malformed."""
    platforms = tuple(Platform.parse(text) for text in bundle.info.platforms)
    whole: dict[Reference, tuple[Descriptor, ...]] = {}
    for reference, root in bundle.roots:
        try:
            whole[reference] = closure(bundle.blobs, root, platforms)
        except RegistryError as error:
            yield f"{reference} is not whole: {error.problem}"
    reached = {part.digest for parts in whole.values() for part in parts}
    for digest in sorted(set(bundle.blobs.digests()) - reached):
        yield f"the blob {digest} belongs to no image"
    _ = bundle.coverage, bundle.receipt, bundle.signatures  # right, or they raise
    yield from _names(bundle)
    if bundle.document.is_closed:
        yield from _closed(bundle, whole)


def _names(bundle: Parts) -> Iterator[str]:
    names = {reference: descriptor.digest for reference, descriptor in bundle.roots}
    if names.get(bundle.info.cluster_reference) != bundle.info.cluster.digest:
        yield f"{INDEX} does not name the cluster files {bundle.info.cluster.digest}"
    for image in bundle.lock.images:
        if names.get(image.reference) != image.descriptor.digest:
            yield f"{image.reference} is locked to {image.descriptor.digest}, {INDEX} says otherwise"
    locked = {bundle.info.cluster_reference, *(image.reference for image in bundle.lock.images)}
    for reference in names:
        if reference not in locked:
            yield f"{reference} is in {INDEX}, and {LOCK} does not say why"


def _closed(bundle: Parts, whole: Mapping[Reference, tuple[Descriptor, ...]]) -> Iterator[str]:
    """Yield what format 2 says in one way only, and format 1 left open. ``whole`` has the parts of everything that index.json names."""
    info, needs = bundle.info, bundle.document.needs
    if bundle.read(LOCK) != encode_lock(bundle.lock):
        yield f"{LOCK} is of an older format, which this one does not hold"
    for image in bundle.lock.images:
        parts = whole.get(image.reference, ())
        if image.reference.repository.registry == INTERNAL_REGISTRY:
            yield f"{image.reference} is no image: names of {INTERNAL_REGISTRY} are the bundle's own"
        elif image.size != sum(part.size for part in parts):
            yield f"{image.reference} has {sum(part.size for part in parts)} bytes, {LOCK} says {image.size}"
        elif set(image.digests) != set(identities(parts)):
            yield f"{image.reference} can be called by other digests than {LOCK} says"
    if bundle.read(OCI_LAYOUT) != layout_index.OCI_LAYOUT:
        yield f"{OCI_LAYOUT} says more, or in another way, than it has to"
    roots = [*bundle.lock.roots, (info.cluster_reference, info.cluster)]
    if bundle.read(INDEX) != layout_index.layout_index(roots):
        yield f"{INDEX} says more, or in another way, than {LOCK} and the cluster files"
    of_images = {part.digest: part.size for reference, parts in whole.items() if reference != info.cluster_reference for part in parts}
    images_size = sum(of_images.values())
    if info.images_size != images_size:
        yield f"its images have {images_size} bytes, not {info.images_size}"
    files_size = sum(file.size for file in bundle.cluster_files())
    if info.files_size != files_size:
        yield f"its cluster files have {files_size} bytes, not {info.files_size}"
    with bundle.bootloader() as extent:
        machine = machine_of(extent.read(HEAD))
    if needs is not None and (machine != needs.machine or platform_of(machine) not in info.platforms):
        yield f"its installer is a program for {machine or 'no machine that we know'}, not for {needs.machine} and {', '.join(info.platforms)}"
