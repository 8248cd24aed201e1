"""Recorder: registry content that fills itself from upstreams and writes down what was used.

* Any request for a manifest, HEAD too, means "this image is used": a client that has the content already sends only one
  HEAD, and layers it has under another name are never asked for. So the recorder itself completes the closure.
* What a tag means is frozen at its first answer, in a file, for this build and its continuation after a crash.
* A GET by digest that follows a tag (the same digest, or a wanted child of that index) is not another image. A HEAD by
  digest is: it is how clients begin ``name@digest`` and ``name:tag@digest``, whose tag is never sent.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from registry_snapshot.errors import BlobUnknown, ManifestUnknown, NameUnknown, RegistryError, UpstreamError
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.record.attached import Attachments, attached
from registry_snapshot.record.catalog import Catalog
from registry_snapshot.record.closures import Closures, PullFailure
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.finder import Finder
from registry_snapshot.record.frozen import FrozenReferences, FrozenReferrers
from registry_snapshot.record.journal import LISTED, Fetched, History, Journal, Pull
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.puller import Puller, Resolved
from registry_snapshot.record.recording import PULLS, REFERENCES, REFERRERS, DirectoryLock, write_settings
from registry_snapshot.record.snapshot import Reason, RecordedImage, Snapshot
from registry_snapshot.record.upstream import Progress, Traffic, no_progress
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.store.base import Extent, RegistryContent
from registry_snapshot.store.closure import children, closure, platforms_of, read_manifest
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.growth import GrowingExtent

_NOTHING = Traffic(0, 0)


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
        pins: Mapping[Reference, Descriptor] | None = None,
    ) -> None:
        self._lock = DirectoryLock(directory)
        self._pins = dict(pins or {})  # what tags mean before anybody is asked: a lock that the recording is held to
        self._platforms = platforms
        self._blobs = blobs
        blobs.sweep()
        write_settings(directory, platforms)
        self._frozen = FrozenReferences(directory / REFERENCES)
        self._referrers = FrozenReferrers(directory / REFERRERS)
        self._journal = Journal(directory / PULLS)
        self._upstreams = upstreams or Upstreams(mirrors, credentials)
        self._puller = Puller(blobs, self._upstreams, platforms, progress=progress, fetched=self._fetched)
        self._closures = Closures(self._puller)
        self._catalog = Catalog(blobs)
        self._others: dict[str, RegistryContent] = {}
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
            with _as_missing(ManifestUnknown):
                self._puller.manifest(repository, digest, descriptor.media_type)
            return descriptor.media_type, self._blobs.read(digest)
        with self._closures.activity(), _as_missing(ManifestUnknown):
            descriptor = self._puller.manifest(repository, digest, known.media_type).descriptor
            self._catalog.learn(repository, descriptor)
            return descriptor.media_type, self._blobs.read(digest)

    def blob(self, repository: Repository, digest: Digest) -> Extent | GrowingExtent:
        """Return a blob, open; one that is on its way as it grows. Raises BlobUnknown, UpstreamError, StoreError."""
        if other := self._others.get(repository.registry):
            return other.blob(repository, digest)
        if self._catalog.is_manifest(digest):
            raise BlobUnknown(f"{repository}@{digest} is a manifest")
        with self._closures.activity(), _as_missing(BlobUnknown):
            return self._puller.blob(repository, self._catalog.blob(digest))

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return the tags that were asked for so far, sorted. Raises NameUnknown."""
        if other := self._others.get(repository.registry):
            return other.tags(repository)
        tags = self._frozen.tags(repository)
        if not tags:
            raise NameUnknown(f"nobody has asked for {repository} yet")
        return tags

    def referrers(self, repository: Repository, digest: Digest, *, client: str) -> tuple[Descriptor, ...]:
        """Return the manifests that the upstream says refer to ``digest``, frozen at the first answer.

        Whoever asks for them means to use them, so each is recorded as an image is. Raises UpstreamError, StoreError.
        """
        if other := self._others.get(repository.registry):
            return other.referrers(repository, digest, client=client)
        subject = Reference(repository, None, digest)
        known = self._referrers.get(subject)
        if known is None:
            with self._closures.activity():
                found = self._puller.referrers(repository, digest)
                known = self._referrers.freeze(subject, tuple(item for item in found if self._is_there(repository, item)))
        for item in known:
            reference = Reference(repository, None, item.digest)
            if self._frozen.get(reference) is None:
                self._use(reference, client, "GET", item.media_type)
        return known

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

    def keep_tag(self, tag: Reference, digest: Digest, reason: str) -> Descriptor | None:
        """Record that ``tag`` means the recorded image ``digest`` of its repository, unless somebody asked what it means: then that counts.

        Nobody upstream is asked. Returns what the tag means, None where the digest was not recorded. Raises StoreError.
        """
        with self._closures.activity():
            found = self._frozen.get(tag)
            if found is None:
                found = self._frozen.get(Reference(tag.repository, None, digest))
                if found is not None:
                    found = self._keep(tag, Resolved(found, _NOTHING), reason, LISTED)
                    self._closures.begin(tag, found, reason)
            return found

    def look(self, reference: Reference) -> Descriptor:
        """Return what ``reference`` means upstream, and record nothing: it may be no image at all.

        Raises ManifestUnknown where the upstream says that there is none, ManifestInvalid where it has nothing for the
        recorded platforms, UpstreamError where it did not say, StoreError.
        """
        with self._closures.activity(), _as_missing(ManifestUnknown):
            descriptor = self._frozen.get(reference) or self._ask(reference, "").descriptor
            self._puller.manifest(reference.repository, descriptor.digest, descriptor.media_type)
            children(read_manifest(self._blobs, descriptor), self._platforms)
            return descriptor

    def attach(self, only: Collection[Reference] | None = None) -> Attachments:
        """Record, whole, what upstreams keep for the images that are recorded: signatures, attestations, bills of materials.

        ``only`` are names besides which nothing is taken. What was missed is no failure of a pull. Raises StoreError.
        """
        with self._closures.activity():
            finder = Finder(self._puller, self._blobs, self.look, self._referrers.get)
            found = attached(finder, self._blobs, self._frozen.all(), self._platforms, only=only)
            for each in found.taken:
                if self._frozen.get(each.reference) is None:
                    self._keep(each.reference, Resolved(each.descriptor, _NOTHING), str(each), LISTED)
                    self._closures.begin(each.reference, each.descriptor, str(each))
            return found

    def failures(self) -> tuple[PullFailure, ...]:
        """Return pulls that failed and never succeeded afterwards, sorted by reference."""
        return self._closures.failures()

    @property
    def last_activity(self) -> float:
        """The monotonic time of the last pull request or end of a closure, in seconds."""
        return self._closures.last_activity

    @property
    def in_flight(self) -> int:
        """How many requests are being answered, closures completed and blobs transferred now."""
        return self._closures.in_flight

    @property
    def history(self) -> History:
        """Every pull and fetch so far, in order, those before a restart included."""
        return self._journal.history()

    def finish(self) -> Snapshot:
        """Wait for every closure, verify that each is whole, and return the snapshot. May be called again.

        Closures that failed are tried once more. Raises RegistryError that names every image that is not complete.
        """
        problems: list[RegistryError] = []
        images: list[RecordedImage] = []
        frozen = self._frozen.all()
        history = self._journal.history()
        for reference, descriptor in frozen:
            first = next((pull.client for pull in history.pulls_of(reference)), "")
            self._closures.begin(reference, descriptor, first)
        for reference, descriptor in frozen:
            try:
                self._closures.result(reference)
                images.append(self._image(reference, descriptor, history.pulls_of(reference)))
            except RegistryError as error:
                problems.append(error)
        if problems:
            lines = "\n".join(f"  {error.problem}" for error in problems)
            remedies = dict.fromkeys(error.remedy for error in problems if error.remedy)
            raise RegistryError(f"{len(problems)} of {len(frozen)} images are not complete:\n{lines}", "; ".join(remedies))
        return Snapshot(tuple(images))

    def close(self) -> None:
        """Stop transfers, keep what is whole, let another process record here. May be called twice."""
        self._closures.stop()
        self._upstreams.close()
        self._puller.close()
        self._closures.join()
        for file in (self._frozen, self._referrers, self._journal, self._lock):
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _use(self, reference: Reference, client: str, method: str, media_type: str = "") -> Descriptor:
        """Return what ``reference`` means; write down that it is used; begin its closure."""
        with self._closures.activity():
            known = self._frozen.get(reference)
            try:
                with _as_missing(ManifestUnknown):
                    resolved = Resolved(known, _NOTHING) if known else self._ask(reference, media_type)
            except RegistryError as error:
                self._closures.failed(reference, error, client)
                raise
            try:
                descriptor = self._keep(reference, resolved, client, method)
            except RegistryError as error:  # our disk: whoever pulls meets it, and so must the build
                self._closures.failed(reference, error, client)
                raise
            self._closures.begin(reference, descriptor, client)
            return descriptor

    def _keep(self, reference: Reference, resolved: Resolved, client: str, method: str) -> Descriptor:
        """Write down the pull and, if it is the first, what the reference means; return that."""
        upstream = str(self._upstreams.for_registry(reference.repository.registry))
        traffic = resolved.traffic if self._frozen.claim(reference) else _NOTHING
        pull = Pull(time.time(), client, reference, resolved.descriptor.digest, method, upstream, traffic.bytes, traffic.retries)
        # The pull first: killed between the two, an image would be sealed for which nobody asked.
        number = self._journal.begin(pull)
        descriptor, first = self._frozen.freeze(reference, resolved.descriptor)
        if first:
            self._catalog.learn(reference.repository, descriptor)
        self._journal.sync(number)
        return descriptor

    def _ask(self, reference: Reference, media_type: str) -> Resolved:
        if reference.digest is not None:
            known = self._catalog.manifest(reference.repository, reference.digest)
            return self._puller.manifest(reference.repository, reference.digest, known.media_type if known else media_type)
        if pinned := self._pins.get(reference):
            return self._puller.manifest(reference.repository, pinned.digest, pinned.media_type)
        return self._puller.resolve(reference.repository, reference.tag or "latest")

    def _is_there(self, repository: Repository, item: Descriptor) -> bool:
        """Tell whether the upstream has a referrer that it lists: registries keep lists longer than what is on them."""
        try:
            self._puller.manifest(repository, item.digest, item.media_type)
        except UpstreamError as error:
            if error.status != 404:
                raise
            return False
        return True

    def _fetched(self, fetched: Fetched) -> None:
        with self._closures.activity():
            self._journal.append(fetched)

    def _is_wanted(self, child: Descriptor) -> bool:
        """Tell whether closures hold ``child``; one that a client gets for another platform is an image of its own."""
        platform = child.platform
        return platform is None or any(platform.satisfies(wanted) for wanted in self._platforms)

    def _image(self, reference: Reference, descriptor: Descriptor, pulls: Sequence[Pull]) -> RecordedImage:
        parts = closure(self._blobs, descriptor, self._platforms)
        reasons = {Reason(pull.client, pull.method) for pull in pulls}
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

