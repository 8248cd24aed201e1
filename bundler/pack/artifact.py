"""Seal a bundle: cluster files, images and installer into one file. The format is ``installer_stub.bundle``'s."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from bundler.errors import BuildError
from bundler.pack.stub_runtime import StubRuntime, extent_of
from bundler.pack.zip_writer import Source, write_archive
from installer_stub.bundle.documents import BundleDocument, Part, encode_bundle, encode_lock
from installer_stub.bundle.model import BundleInfo, ImageLock
from installer_stub.bundle.names import BOOTLOADER, BUNDLE, INDEX, LOCK, OCI_LAYOUT, PACKAGE, STUB, blob_name
from installer_stub.bundle.program import platform_of
from installer_stub.phases.reporter import Reporter
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store import layout_index
from registry_snapshot.store.base import BlobReader, Extent
from registry_snapshot.store.closure import closure

_REMEDY = "build again; if it repeats, remove the cache first and report it"


class Sign(Protocol):
    """Who signs what is sealed."""

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The keys, as ``ssh-keygen -l`` shows them: bundle.json names them before they sign it."""

    def of_bundle(self, raw: bytes) -> Mapping[str, bytes]:
        """Return the signatures of bundle.json by the names of their entries."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file that was sealed. ``digest`` is that of ``airseal/bundle.json``, ``sha256`` the file's own, in hex."""

    path: Path
    digest: Digest
    sha256: str


def seal(
    target: Path,
    *,
    info: BundleInfo,
    lock: ImageLock,
    blobs: BlobReader,
    digests: Sequence[Digest],
    runtime: StubRuntime,
    reporter: Reporter,
    documents: Mapping[str, bytes] | None = None,
    sign: Sign | None = None,
    ready: Callable[[Sealed], None] | None = None,
) -> Sealed:
    """Write the artifact to ``target``. The same arguments give the same bytes.

    ``digests`` are all blobs: what the images of ``lock`` and ``info.cluster`` lead to, no more and no less; they are hashed on the
    way. ``documents`` are further files below ``airseal/`` by their full name; ``sign`` signs
    bundle.json. ``ready`` hears of the file when all of it is on the disk, before ``target`` is replaced by it. Raises BuildError, DiskFull,
    DigestMismatch, and what ``sign`` and ``ready`` raise; ``target`` is then what it was before.
    """
    roots = [*lock.roots, (info.cluster_reference, info.cluster)]
    _check(info, roots, blobs, digests, runtime)
    content = {
        OCI_LAYOUT: layout_index.OCI_LAYOUT,
        INDEX: layout_index.layout_index(roots),
        LOCK: encode_lock(lock),
        **(documents or {}),
    }
    program, package = map(_part, runtime.read())
    parts = {name: _part(data) for name, data in content.items()}
    parts |= {BOOTLOADER: program, PACKAGE: package, STUB: Part(Digest("sha256", runtime.digest), runtime.size)}
    publishers = sign.fingerprints if sign is not None else ()
    document = BundleDocument(info, parts, {digest: blobs.size(digest) for digest in digests}, runtime.needs, publishers)
    raw = encode_bundle(document)
    reporter.step(f"sealing {info.title}: {lock.count}, {len(document.blobs)} blobs")
    sources = _sources(document, {BUNDLE: raw, **content}, sign.of_bundle(raw) if sign is not None else {}, blobs, runtime)
    tell = (lambda sha256: ready(Sealed(target, Digest.of(raw), sha256))) if ready is not None else None
    sha256 = write_archive(target, runtime.bootloader, list(sources), partial(reporter.moved, "sealed"), tell)
    return Sealed(target, Digest.of(raw), sha256)


def require_machine(runtime: StubRuntime, title: str, platforms: Iterable[str]) -> None:
    """Raise BuildError unless the installer runs on hosts of one of these platforms, which the bundle ``title`` is for."""
    machine, wanted = runtime.needs.machine, tuple(platforms)
    if platform_of(machine) not in wanted:
        problem = f"the installer is a program for {machine or 'no machine that we know'}; {title} is for {', '.join(wanted)}"
        raise BuildError(problem, "build it on a machine of that kind, or name this one's with --platform")


def _sources(
    document: BundleDocument, content: Mapping[str, bytes], signatures: Mapping[str, bytes], blobs: BlobReader, runtime: StubRuntime
) -> Iterator[Source]:
    known = {**content, **signatures}
    parts = document.entries() | {name: _part(data) for name, data in known.items()}
    opened: dict[str, Callable[[], Extent]] = {
        blob_name(digest): partial(blobs.open, digest) for digest in document.blobs
    }
    opened[PACKAGE] = partial(extent_of, runtime.package)
    for entry in document.layout(len(content[BUNDLE]), {name: len(data) for name, data in signatures.items()}):
        yield Source(entry, parts[entry.name].digest, known[entry.name] if entry.name in known else opened[entry.name])


def _check(
    info: BundleInfo, roots: Sequence[tuple[Reference, Descriptor]], blobs: BlobReader, digests: Sequence[Digest], runtime: StubRuntime
) -> None:
    platforms = tuple(Platform.parse(text) for text in info.platforms)
    require_machine(runtime, info.title, info.platforms)
    problems = []
    reached: set[Digest] = set()
    for reference, root in roots:
        try:
            reached |= {descriptor.digest for descriptor in closure(blobs, root, platforms)}
        except RegistryError as error:
            problems.append(f"{reference} is not whole: {error.problem}")
    if not problems:
        problems += [f"the blob {digest} is needed, but not listed" for digest in sorted(reached - set(digests))]
        problems += [f"the blob {digest} belongs to no image" for digest in sorted(set(digests) - reached)]
    if problems:
        raise BuildError("the bundle cannot be sealed:" + "".join(f"\n  - {problem}" for problem in problems[:20]), _REMEDY)


def _part(data: bytes) -> Part:
    return Part(Digest("sha256", hashlib.sha256(data).hexdigest()), len(data))
