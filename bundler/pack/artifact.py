"""Seal a bundle: cluster files, images and installer into one file. The format is ``installer_stub.bundle``'s."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from bundler.errors import BuildError
from bundler.pack.stub_runtime import StubRuntime, extent_of
from bundler.pack.zip_writer import Source, write_archive
from installer_stub.bundle.documents import (
    BOOTLOADER,
    BUNDLE,
    INDEX,
    LOCK,
    OCI_LAYOUT,
    PACKAGE,
    STUB,
    BundleDocument,
    Part,
    blob_name,
    encode_bundle,
    encode_lock,
)
from installer_stub.bundle.model import BundleInfo, ImageLock
from installer_stub.phases.base import Reporter
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store import layout_index
from registry_snapshot.store.base import BlobReader, Extent
from registry_snapshot.store.closure import closure

_REMEDY = "build again; if it repeats, remove the cache first and report it"


def seal(
    target: Path,
    *,
    info: BundleInfo,
    lock: ImageLock,
    images: Sequence[tuple[Reference, Descriptor]],
    blobs: BlobReader,
    digests: Sequence[Digest],
    runtime: StubRuntime,
    reporter: Reporter,
    documents: Mapping[str, bytes] | None = None,
) -> Path:
    """Write the artifact to ``target`` and return it. The same arguments give the same bytes.

    ``digests`` are all blobs: what ``images`` and ``info.cluster`` lead to, no more and no less; they are hashed on the
    way. ``documents`` are further files below ``airseal/`` by their full name. Raises BuildError, DiskFull,
    DigestMismatch; ``target`` is then what it was before.
    """
    roots = [*images, (info.cluster_reference, info.cluster)]
    _check(info, lock, roots, blobs, digests)
    content = {
        OCI_LAYOUT: layout_index.OCI_LAYOUT,
        INDEX: layout_index.layout_index(roots),
        LOCK: encode_lock(lock),
        **(documents or {}),
    }
    program, package = _part(runtime.bootloader.read_bytes()), _part(runtime.package.read_bytes())
    parts = {name: _part(data) for name, data in content.items()}
    parts |= {BOOTLOADER: program, PACKAGE: package, STUB: Part(Digest("sha256", runtime.digest), runtime.size)}
    document = BundleDocument(info, parts, {digest: blobs.size(digest) for digest in digests})
    raw = encode_bundle(document)
    sources = _sources(document, raw, content, blobs, runtime)
    reporter.step(f"sealing {info.title}: {len(images)} images, {len(document.blobs)} blobs")
    write_archive(target, runtime.bootloader, list(sources), partial(reporter.moved, "sealed"))
    return target


def _sources(
    document: BundleDocument, raw: bytes, content: Mapping[str, bytes], blobs: BlobReader, runtime: StubRuntime
) -> Iterator[Source]:
    parts = document.entries() | {BUNDLE: _part(raw)}
    opened: dict[str, Callable[[], Extent]] = {
        blob_name(digest): partial(blobs.open, digest) for digest in document.blobs
    }
    opened[PACKAGE] = partial(extent_of, runtime.package)
    for entry in document.layout(len(raw)):
        known = raw if entry.name == BUNDLE else content.get(entry.name)
        yield Source(entry, parts[entry.name].digest, known if known is not None else opened[entry.name])


def _check(
    info: BundleInfo, lock: ImageLock, roots: Sequence[tuple[Reference, Descriptor]], blobs: BlobReader, digests: Sequence[Digest]
) -> None:
    platforms = tuple(Platform.parse(text) for text in info.platforms)
    problems = []
    reached: set[Digest] = set()
    for reference, root in roots:
        try:
            reached |= {descriptor.digest for descriptor in closure(blobs, root, platforms)}
        except RegistryError as error:
            problems.append(f"{reference} is not whole: {error.problem}")
    names = {reference: descriptor.digest for reference, descriptor in roots}
    problems += [
        f"{image.reference} is locked to {image.descriptor.digest}, but not among the images"
        for image in lock.images
        if names.get(image.reference) != image.descriptor.digest
    ]
    locked = {info.cluster_reference, *(image.reference for image in lock.images)}
    problems += [f"{reference} is among the images, and the lock does not say why" for reference in names if reference not in locked]
    if not problems:
        problems += [f"the blob {digest} is needed, but not listed" for digest in sorted(reached - set(digests))]
        problems += [f"the blob {digest} belongs to no image" for digest in sorted(set(digests) - reached)]
    if problems:
        raise BuildError("the bundle cannot be sealed:" + "".join(f"\n  - {problem}" for problem in problems[:20]), _REMEDY)


def _part(data: bytes) -> Part:
    return Part(Digest("sha256", hashlib.sha256(data).hexdigest()), len(data))
