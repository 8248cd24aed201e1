"""Recorder: registry content that fills itself from upstreams and writes down what was used.

* Any request for a manifest, HEAD too, means "this image is used": a client that has the content already sends only one
  HEAD, and layers it has under another name are never asked for. So the recorder itself completes the closure.
* What a tag means is frozen at its first answer, in a file, for this build and its continuation after a crash.
* A GET by digest that follows a tag (the same digest, or a wanted child of that index) is not another image. A HEAD by
  digest is: it is how clients begin ``name@digest`` and ``name:tag@digest``, whose tag is never sent.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from registry_snapshot.errors import BlobUnknown, ManifestUnknown, NameUnknown, RegistryError, UpstreamError
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.record.catalog import Catalog
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.frozen import FrozenReferences
from registry_snapshot.record.journal import LISTED, Journal, Pull
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.puller import Puller
from registry_snapshot.record.snapshot import Reason, RecordedImage, Snapshot
from registry_snapshot.record.upstream import Progress, no_progress
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.store.base import Extent, RegistryContent
from registry_snapshot.store.closure import closure, platforms_of
from registry_snapshot.store.disk import DiskBlobStore, store_error
from registry_snapshot.store.growth import GrowingExtent

_CLOSURES = 4  # images completed at once; the transfers inside them have their own bound


@dataclass(frozen=True, slots=True)
class PullFailure:
    """A pull that did not succeed, and not later either."""

    reference: Reference
    error: RegistryError
    client: str


class Recorder:
    """RegistryContent over ``blobs``, filled as it is asked. State is kept in ``directory``, for one process at a time.

    Raises RegistryError if another process records there, StoreError, and what Upstreams raises for a bad CA file.
    """

    def __init__(
        self,
        directory: Path,
        blobs: DiskBlobStore,
        mirrors: Mirrors,
        credentials: DockerCredentials,
        platforms: tuple[Platform, ...],
        *,
        progress: Progress = no_progress,
        upstreams: Upstreams | None = None,
    ) -> None:
        self._lock_file = _lock(directory)
        self._platforms = platforms
        self._blobs = blobs
        blobs.sweep()
        self._upstreams = upstreams or Upstreams(mirrors, credentials)
        self._puller = Puller(blobs, self._upstreams, platforms, progress=progress)
        self._frozen = FrozenReferences(directory / "references.jsonl")
        self._journal = Journal(directory / "pulls.jsonl")
        self._catalog = Catalog(blobs)
        self._others: dict[str, RegistryContent] = {}
        self._closures: dict[Reference, Future[tuple[Descriptor, ...]]] = {}
        self._failures: dict[Reference, PullFailure] = {}
        self._workers = ThreadPoolExecutor(_CLOSURES, "closure")
        self._lock = threading.Lock()
        self._active = 0
        self._last_activity = time.monotonic()
        for reference, descriptor in self._frozen.all():
            self._catalog.learn(reference.repository, descriptor)

    # --- what clients ask -------------------------------------------------------------------------------------------

    def resolve(self, repository: Repository, tag: str, *, client: str, method: str) -> Descriptor:
        """Return what ``tag`` meant when it was first asked for. Raises ManifestUnknown, UpstreamError, StoreError."""
        if other := self._others.get(repository.registry):
            return other.resolve(repository, tag, client=client, method=method)
        return self._use(Reference(repository, tag, None), client, method)

    def manifest(self, repository: Repository, digest: Digest, *, client: str, method: str) -> tuple[str, bytes]:
        """Return a manifest's media type and exact bytes. Raises ManifestUnknown, UpstreamError, StoreError."""
        if other := self._others.get(repository.registry):
            return other.manifest(repository, digest, client=client, method=method)
        known = self._catalog.manifest(repository, digest)
        if method == "HEAD" or known is None or not self._is_wanted(known):
            descriptor = self._use(Reference(repository, None, digest), client, method)
            # What was frozen before a crash may have lost its bytes; then they are fetched again.
            self._puller.manifest(repository, digest, descriptor.media_type)
            return descriptor.media_type, self._blobs.read(digest)
        with self._activity(), _as_missing(ManifestUnknown):
            descriptor = self._puller.manifest(repository, digest, known.media_type)
            self._catalog.learn(repository, descriptor)
            return descriptor.media_type, self._blobs.read(digest)

    def blob(self, repository: Repository, digest: Digest) -> Extent | GrowingExtent:
        """Return a blob, open; one that is on its way is waited for. Raises BlobUnknown, UpstreamError, StoreError."""
        if other := self._others.get(repository.registry):
            return other.blob(repository, digest)
        if self._catalog.is_manifest(digest):
            raise BlobUnknown(f"{repository}@{digest} is a manifest")
        with self._activity(), _as_missing(BlobUnknown):
            self._puller.blob(repository, self._catalog.blob(digest))
            return self._blobs.open(digest)

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return the tags that were asked for so far, sorted. Raises NameUnknown."""
        if other := self._others.get(repository.registry):
            return other.tags(repository)
        tags = self._frozen.tags(repository)
        if not tags:
            raise NameUnknown(f"nobody has asked for {repository} yet")
        return tags

    def referrers(self, repository: Repository, digest: Digest, *, client: str) -> tuple[Descriptor, ...]:
        """Return the manifests of the repository whose subject is ``digest``."""
        del repository, digest, client
        return ()

    # --- what the build asks ----------------------------------------------------------------------------------------

    def serve_also(self, content: RegistryContent, registry: str) -> None:
        """Answer requests for ``registry`` from ``content``, and record none of them."""
        self._others[registry] = content

    def add(self, reference: Reference, reason: str) -> Descriptor:
        """Record an image that nobody pulled, because ``reason`` lists it. A tag beside a digest is dropped.

        Raises ManifestUnknown, UpstreamError, StoreError; such a failure is among ``failures`` too.
        """
        if reference.digest is not None:
            reference = Reference(reference.repository, None, reference.digest)
        return self._use(reference, reason, LISTED)

    def failures(self) -> tuple[PullFailure, ...]:
        """Return pulls that failed and never succeeded afterwards, sorted by reference."""
        with self._lock:
            return tuple(sorted(self._failures.values(), key=lambda failure: str(failure.reference)))

    @property
    def last_activity(self) -> float:
        """The monotonic time of the last pull request or end of a transfer, in seconds."""
        with self._lock:
            return self._last_activity

    @property
    def in_flight(self) -> int:
        """How many requests are being answered and closures completed now."""
        with self._lock:
            return self._active

    @property
    def journal(self) -> tuple[Pull, ...]:
        """Every pull so far, in order, those before a restart included."""
        return tuple(self._journal)

    def finish(self) -> Snapshot:
        """Wait for every closure, verify that each is whole, and return the snapshot. May be called again.

        Closures that failed are tried once more. Raises RegistryError that names every image that is not complete.
        """
        problems: list[RegistryError] = []
        images: list[RecordedImage] = []
        frozen = self._frozen.all()
        for reference, descriptor in frozen:
            self._complete(reference, descriptor, self._first_client(reference))
        for reference, descriptor in frozen:
            try:
                self._closures[reference].result()
                images.append(self._image(reference, descriptor))
            except RegistryError as error:
                problems.append(error)
        if problems:
            lines = "\n".join(f"  {error.problem}" for error in problems)
            remedies = dict.fromkeys(error.remedy for error in problems if error.remedy)
            raise RegistryError(f"{len(problems)} of {len(frozen)} images are not complete:\n{lines}", "; ".join(remedies))
        return Snapshot(tuple(images))

    def close(self) -> None:
        """Stop transfers, keep what is whole, let another process record here. May be called twice."""
        if self._lock_file < 0:
            return
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._upstreams.close()
        self._puller.close()
        self._workers.shutdown(wait=True)
        self._frozen.close()
        self._journal.close()
        os.close(self._lock_file)
        self._lock_file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _use(self, reference: Reference, client: str, method: str) -> Descriptor:
        """Return what ``reference`` means; write down that it is used; begin its closure."""
        repository = reference.repository
        with self._activity():
            known = self._frozen.get(reference)
            try:
                with _as_missing(ManifestUnknown):
                    descriptor = known or self._ask(reference)
            except RegistryError as error:
                self._failed(reference, error, client)
                raise
            if known is None:
                descriptor = self._frozen.freeze(reference, descriptor)
                self._catalog.learn(repository, descriptor)
            upstream = str(self._upstreams.for_registry(repository.registry))
            fetched = 0 if known else descriptor.size
            self._journal.append(Pull(time.time(), client, reference, descriptor.digest, method, upstream, fetched))
            self._complete(reference, descriptor, client)
            return descriptor

    def _ask(self, reference: Reference) -> Descriptor:
        if reference.digest is not None:
            known = self._catalog.manifest(reference.repository, reference.digest)
            return self._puller.manifest(reference.repository, reference.digest, known.media_type if known else "")
        return self._puller.resolve(reference.repository, reference.tag or "latest")

    def _complete(self, reference: Reference, descriptor: Descriptor, client: str) -> None:
        """Begin the closure, unless it is under way or done. One that failed is begun again."""
        with self._lock:
            running = self._closures.get(reference)
            if running is not None and not (running.done() and (running.cancelled() or running.exception())):
                return
            try:
                future = self._workers.submit(self._puller.complete, reference.repository, descriptor)
            except RuntimeError:
                raise RegistryError(f"{reference} was asked for after the recording had ended") from None
            self._active += 1
            self._closures[reference] = future
        future.add_done_callback(partial(self._completed, reference, client))

    def _completed(self, reference: Reference, client: str, future: Future[tuple[Descriptor, ...]]) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, RegistryError):
            self._failed(reference, error, client)
        elif error is None:
            with self._lock:
                self._failures.pop(reference, None)
        with self._lock:
            self._active -= 1
            self._last_activity = time.monotonic()

    def _failed(self, reference: Reference, error: RegistryError, client: str) -> None:
        with self._lock:
            self._failures[reference] = PullFailure(reference, error, client)

    @contextlib.contextmanager
    def _activity(self) -> Iterator[None]:
        with self._lock:
            self._active += 1
            self._last_activity = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._active -= 1
                self._last_activity = time.monotonic()

    def _is_wanted(self, child: Descriptor) -> bool:
        """Tell whether closures hold ``child``; one that a client gets for another platform is an image of its own."""
        platform = child.platform
        return platform is None or any(platform.satisfies(wanted) for wanted in self._platforms)

    def _first_client(self, reference: Reference) -> str:
        return next((pull.client for pull in self._journal if pull.reference == reference), "")

    def _image(self, reference: Reference, descriptor: Descriptor) -> RecordedImage:
        parts = closure(self._blobs, descriptor, self._platforms)
        reasons = {Reason(pull.client, pull.method) for pull in self._journal if pull.reference == reference}
        platforms = platforms_of(self._blobs, descriptor, self._platforms)
        total = sum(part.size for part in parts)
        return RecordedImage(reference, descriptor, tuple(sorted(reasons)), platforms, total)


@contextlib.contextmanager
def _as_missing(kind: type[ManifestUnknown | BlobUnknown]) -> Iterator[None]:
    """Turn an upstream's 404 into the specification's error, with the upstream's words."""
    try:
        yield
    except UpstreamError as error:
        if error.status != 404:
            raise
        raise kind(error.problem, error.remedy) from error


def _lock(directory: Path) -> int:
    path = directory / "lock"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise store_error(error, path) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise RegistryError(f"another process records in {directory}", "wait until that build has ended") from None
    return descriptor
