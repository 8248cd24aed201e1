"""What upstreams keep for images: signatures, attestations, bills of materials. Found when a recording ends, fetched whole.

Of every image, and of each manifest in it that hosts use, the upstream is asked for what refers to it (the referrers API, or the
tag that stands for it) and for the tags that cosign makes: ``sha256-HEX.sig``, ``.att``, ``.sbom``; what BuildKit has laid into the
image's index for it is taken too. Of what is found and is no signature the same is asked once more, for a signature of a bill of materials, and no further.

What could not be asked, and what is more than the bounds, is said for each image: nobody is to take silence for "nothing there".

Source: OCI distribution-spec, "Listing Referrers"; cosign's SIGNATURE_SPEC.md, "Storage".
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol, TypeVar

from registry_snapshot.errors import (
    ManifestInvalid,
    ManifestUnknown,
    RegistryError,
    StoreError,
    UpstreamError,
    UpstreamUnreachable,
)
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import Index, Manifest
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.record.in_index import attestations
from registry_snapshot.store.base import BlobReader
from registry_snapshot.store.closure import children, closure, holds_others, read_manifest

MOST: Final = 50  # of one image, with what refers to them: a handful is usual, and a registry may list ten thousand
MOST_BYTES: Final = 64 << 20  # of one image: bills of materials of large images have some 20 MB
MOST_PARTS: Final = 100  # indexes and manifests of one artifact, read to find out how large it is
SECONDS: Final = 120.0  # for all images together: what has not answered by then is said
_AT_ONCE: Final = 4  # images of one registry: as many manifests as a Puller asks it for
_TAGS: Final = {"sig": "signature", "att": "attestation", "sbom": "SBOM"}
_OF_COSIGN: Final = re.compile(r"sha256-[0-9a-f]{64}(\.(sig|att|sbom))?")
SIGNED: Final = "https://sigstore.dev/cosign/sign/v1"  # the predicate by which a sigstore bundle is a signature
PREDICATE: Final = "dev.sigstore.bundle.predicateType"
_TYPE = TypeVar("_TYPE")
_KINDS: Final = ("signature", "attestation", "SBOM", "artifact")  # the order in which they are taken, up to the bounds
_SIGNED: Final = frozenset({"signature", "attestation"})  # what is signed in itself


@dataclass(frozen=True, slots=True)
class Attachment:
    """``reference`` names what an upstream keeps for ``subject``, a repository with a digest; ``what`` is its kind in a word."""

    reference: Reference
    descriptor: Descriptor
    subject: Reference
    what: str

    def __str__(self) -> str:
        return f"{self.what} of {self.subject}"


@dataclass(frozen=True, slots=True)
class Missed:
    """Something of ``image``, as its tag or digest was recorded, that could not be asked, or was left out; and why."""

    image: Reference
    why: str


@dataclass(frozen=True, slots=True)
class Attachments:
    """Everything that was found and is whole, sorted by reference; and what was missed."""

    taken: tuple[Attachment, ...] = ()
    missed: tuple[Missed, ...] = ()


class Source(Protocol):
    """The part of a Recorder that finds out, and records nothing."""

    def look(self, reference: Reference) -> Descriptor:
        """Return what a name means upstream. Raises ManifestUnknown, UpstreamError, StoreError."""

    def look_for_referrers(self, repository: Repository, digest: Digest) -> tuple[Descriptor, ...]:
        """Return what refers to a manifest upstream. Raises UpstreamError, ManifestInvalid, StoreError."""

    def read(self, repository: Repository, descriptor: Descriptor) -> Manifest | Index:
        """Return a manifest, fetched. Raises UpstreamError, ManifestInvalid, StoreError."""

    def complete(self, repository: Repository, root: Descriptor) -> tuple[Descriptor, ...]:
        """Fetch all that a manifest needs. Raises UpstreamError, ManifestInvalid, StoreError."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """For which platforms, besides which names nothing (None: whatever there is), and that nobody waits any more."""

    platforms: tuple[Platform, ...]
    only: Collection[Reference] | None
    stopped: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class _Registry:
    """One registry: who asks it, and which questions it is asked no more, and why."""

    pool: ThreadPoolExecutor
    broken: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Image:
    """One recorded image: its manifests that hosts use, what was found for them, what was missed."""

    reference: Reference
    digests: tuple[Digest, ...]
    inside: tuple[tuple[Digest, Descriptor], ...] = ()  # attestations of its index, behind what they are of
    found: list[Attachment] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    bytes: int = 0


def recorded_images(
    blobs: BlobReader, recorded: Sequence[tuple[Reference, Descriptor]], platforms: tuple[Platform, ...]
) -> Iterator[tuple[Reference, tuple[Descriptor, ...]]]:
    """Yield the name of each recorded image, and its indexes and manifests for ``platforms``.

    What an upstream keeps for another image, and a client has asked for, is none. Raises BlobUnknown, ManifestInvalid, StoreError.
    """
    of_cosign = {(reference.repository, descriptor.digest) for reference, descriptor in recorded if reference.tag is not None and _OF_COSIGN.fullmatch(reference.tag)}
    for reference, descriptor in recorded:
        if (reference.repository, descriptor.digest) not in of_cosign and read_manifest(blobs, descriptor).subject is None:
            yield reference, tuple(part for part in closure(blobs, descriptor, platforms) if holds_others(part))


def attached(
    source: Source,
    blobs: BlobReader,
    recorded: Sequence[tuple[Reference, Descriptor]],
    platforms: tuple[Platform, ...],
    *,
    only: Collection[Reference] | None = None,
    seconds: float = SECONDS,
) -> Attachments:
    """Find and fetch what upstreams keep for the ``recorded`` images, which are whole in ``blobs``.

    ``only`` are names besides which nothing is taken: those of a lock. Raises BlobUnknown, ManifestInvalid, StoreError.
    """
    images = list(_once(blobs, recorded_images(blobs, recorded, platforms)))
    registries: dict[str, _Registry] = {}
    running: list[tuple[_Image, Future[None]]] = []
    in_time: Collection[Future[None]] = ()
    ends = time.monotonic() + seconds
    wish = _Wish(platforms, only)
    try:
        for image in images:
            name = image.reference.repository.registry
            registry = registries.get(name) or registries.setdefault(name, _Registry(ThreadPoolExecutor(_AT_ONCE, f"attached at {name}")))
            running.append((image, registry.pool.submit(_Search(source, registry, image, wish).run)))
        in_time = wait([future for _, future in running], timeout=max(ends - time.monotonic(), 0)).done
    finally:
        wish.stopped.set()
        for registry in registries.values():
            registry.pool.shutdown(wait=False, cancel_futures=True)
    # Who ends later was told to stop, and may have asked for nothing more.
    late = [Missed(image.reference, f"no answer within {seconds:.0f} s") for image, future in running if future not in in_time]
    return _together([(image, future) for image, future in running if future in in_time], recorded, late)


def _together(running: Iterable[tuple[_Image, Future[None]]], recorded: Iterable[tuple[Reference, Descriptor]], late: list[Missed]) -> Attachments:
    """Return what all threads found; a name more of the same content, which a client has asked for, is the same thing. Raises StoreError."""
    taken: dict[Reference, Attachment] = {}
    missed = list(late)
    for image, future in running:
        future.result()
        for each in image.found:
            taken.setdefault(each.reference, each)
        missed += [Missed(image.reference, why) for why in dict.fromkeys(image.missed)]
    contents = {(each.reference.repository, each.descriptor.digest): each for each in taken.values()}
    for reference, descriptor in recorded:
        if same := contents.get((reference.repository, descriptor.digest)):
            taken.setdefault(reference, replace(same, reference=reference))
    return Attachments(tuple(sorted(taken.values(), key=lambda each: str(each.reference))), tuple(missed))


def _once(blobs: BlobReader, images: Iterable[tuple[Reference, Sequence[Descriptor]]]) -> Iterator[_Image]:
    """Yield each manifest of each repository once, under the first name that leads to it."""
    known: set[tuple[Repository, Digest]] = set()
    for reference, parts in images:
        fresh = tuple(digest for digest in dict.fromkeys(part.digest for part in parts) if (reference.repository, digest) not in known)
        known |= {(reference.repository, digest) for digest in fresh}
        if fresh:
            yield _Image(reference, fresh, tuple(attestations(blobs, parts)))


class _Search:
    """The questions about one image, asked by one thread."""

    def __init__(self, source: Source, registry: _Registry, image: _Image, wish: _Wish) -> None:
        self._source = source
        self._registry = registry
        self._image = image
        self._wish = wish
        self._repository = image.reference.repository

    def run(self) -> None:
        """Fill the image's ``found`` and ``missed``. Raises StoreError."""
        named = partial(Reference, self._repository, None)
        inside = [Attachment(named(item.digest), item, named(of), "attestation") for of, item in self._image.inside]
        self._take_all([*inside, *(each for digest in self._image.digests for each in self._of(digest))])
        unsigned = [each.descriptor.digest for each in self._image.found if each.what not in _SIGNED]
        self._take_all([each for digest in unsigned for each in self._of(digest)])

    def _take_all(self, listed: Iterable[Attachment]) -> None:
        known = {each.descriptor.digest for each in self._image.found}
        for each in sorted(listed, key=lambda each: (_KINDS.index(each.what), str(each.reference))):
            # What has a tag is listed by its digest, too, if it names its subject: the tag, which comes first, leads to both.
            if each.reference.tag is not None or each.descriptor.digest not in known:
                known.add(each.descriptor.digest)
                self._take(each)

    def _of(self, digest: Digest) -> Iterator[Attachment]:
        subject = Reference(self._repository, None, digest)
        for end, what in _TAGS.items() if digest.algorithm == "sha256" else ():
            reference = Reference(self._repository, f"sha256-{digest.encoded}.{end}", None)
            descriptor = self._asked("tags", partial(self._source.look, reference), f"the {what} of {subject}")
            if descriptor is not None:
                yield Attachment(reference, descriptor, subject, what)
        listed = self._asked("referrers", partial(self._source.look_for_referrers, self._repository, digest), f"what refers to {subject}") or ()
        if len(listed) > MOST:
            self._image.missed.append(f"{len(listed)} refer to {subject}: {len(listed) - MOST} are left out")
        for item in sorted(listed, key=lambda item: _KINDS.index(kind_of(item)))[:MOST]:
            read = self._asked("parts", partial(self._source.read, self._repository, item), f"{item.digest}, which refers to {subject}")
            # What names another subject would be listed nowhere at a site.
            if read is not None and read.subject is not None and read.subject.digest == digest:
                descriptor = Descriptor(read.media_type, item.digest, item.size)
                yield Attachment(Reference(self._repository, None, item.digest), descriptor, subject, kind_of(read))

    def _take(self, each: Attachment) -> None:
        if self._wish.only is not None and each.reference not in self._wish.only:
            return
        if len(self._image.found) >= MOST:
            self._image.missed.append(f"more than {MOST} are kept for it: the rest is left out")
            return
        before = len(self._image.missed)
        size = self._asked("parts", partial(self._size, each.descriptor), f"the {each}")
        if size is None:
            if len(self._image.missed) == before and not self._wish.stopped.is_set():
                self._image.missed.append(f"the {each} is listed, and its registry does not have all of it")
            return
        if self._image.bytes + size > MOST_BYTES:
            self._image.missed.append(f"the {each} is left out: with it {self._image.bytes + size} bytes are kept for the image, more than {MOST_BYTES}")
            return
        if self._asked("parts", partial(self._source.complete, self._repository, each.descriptor), f"the {each}") is not None:
            self._image.bytes += size
            self._image.found.append(each)

    def _size(self, root: Descriptor) -> int:
        """Return how many bytes an artifact has, by what its manifests say, which are fetched."""
        waiting, seen = [root], dict[Digest, int]()
        while waiting:
            descriptor = waiting.pop()
            seen[descriptor.digest] = descriptor.size
            if holds_others(descriptor):
                read = self._source.read(self._repository, descriptor)
                waiting += [part for part in children(read, self._wish.platforms) if part.digest not in seen]
                if len(seen) + len(waiting) > MOST_PARTS:
                    raise ManifestInvalid(f"{root.digest} has more than {MOST_PARTS} parts")
        return sum(seen.values())

    def _asked(self, question: str, ask: Callable[[], _TYPE], what: str) -> _TYPE | None:
        """Return an answer; None for what is not there, and for what is noted as missed. Raises StoreError."""
        if self._wish.stopped.is_set():
            return None
        if why := self._registry.broken.get(question):
            self._image.missed.append(why)
            return None
        try:
            return ask()
        except ManifestUnknown:
            return None
        except StoreError:
            raise
        except RegistryError as error:
            self._image.missed.append(f"{what} could not be fetched: {error.problem}")
            if isinstance(error, UpstreamUnreachable) or (isinstance(error, UpstreamError) and (error.status >= 500 or error.status == 429)):
                # Its patience is used up: nobody waits for it again, once for each image.
                self._registry.broken[question] = f"not asked: {error.problem}"
            return None


def kind_of(artifact: Descriptor | Manifest | Index) -> str:
    """Return in one word what refers to an image, by its artifact type."""
    kind = artifact.artifact_type.lower()
    if "sigstore.bundle" in kind:
        return "signature" if artifact.annotations.get(PREDICATE, SIGNED) == SIGNED else "attestation"
    if "cosign.artifact.sig" in kind or "signature" in kind:
        return "signature"
    if "in-toto" in kind or "dsse" in kind:
        return "attestation"
    return "SBOM" if any(word in kind for word in ("sbom", "spdx", "cyclonedx", "syft")) else "artifact"
