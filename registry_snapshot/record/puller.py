"""Puller: brings images from upstreams into a store, verified, each blob once however many ask for it.

Every registry has threads of its own, so one that hangs or limits its rate holds up nobody who waits for another.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from registry_snapshot.errors import (
    BlobUnknown,
    DigestMismatch,
    ManifestInvalid,
    RegistryError,
    TransferStopped,
)
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import parse_manifest
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.flights import Flights
from registry_snapshot.record.journal import Fetched
from registry_snapshot.record.lanes import Lanes
from registry_snapshot.record.transfer import GrowingSink, Transfer
from registry_snapshot.record.upstream import Progress, Traffic, Upstream, no_progress
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.store.base import Extent
from registry_snapshot.store.closure import MAX_DEPTH, children, closure, holds_others
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.growth import GrowingExtent

TRANSFERS = 6  # at once from one registry. They throttle by connection, so a few are faster than one; many look like abuse
_RESERVED = 2  # more, for blobs that a client waits for: a closure of many gigabytes must not hold up a config of 2 KB
_MANIFESTS = 4  # at once from one registry

_log = logging.getLogger(__name__)


def _nobody(fetched: Fetched) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a tag or digest names, its manifest in the store, and what travelled to find out."""

    descriptor: Descriptor
    traffic: Traffic


@dataclass(slots=True)
class _Side:
    """What may be under way with one registry at a time."""

    lanes: Lanes
    manifests: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(_MANIFESTS))


class Puller:
    """Pulls for ``platforms`` into ``blobs``; None is all that there are.

    ``progress`` is told the bytes that come, ``fetched`` every manifest and blob that is whole; both from several threads. ``transfers`` bounds what comes from one registry at once in the background.
    """

    def __init__(
        self,
        blobs: DiskBlobStore,
        upstreams: Upstreams,
        platforms: tuple[Platform, ...] | None,
        *,
        transfers: int = TRANSFERS,
        progress: Progress = no_progress,
        fetched: Callable[[Fetched], None] = _nobody,
    ) -> None:
        self.platforms = platforms
        self._blobs = blobs
        self._upstreams = upstreams
        self._transfers = transfers
        self._progress = progress
        self._fetched = fetched
        self._tag_flights: Flights[tuple[Repository, str], Resolved] = Flights()
        self._manifest_flights: Flights[Digest, Resolved] = Flights()
        self._sides: dict[str, _Side] = {}
        self._flying: dict[Digest, Transfer] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    @property
    def in_flight(self) -> int:
        """How many blobs are on their way or queued."""
        with self._lock:
            return len(self._flying)

    def resolve(self, repository: Repository, tag: str) -> Resolved:
        """Return what the upstream says ``tag`` is now. Raises UpstreamError, ManifestInvalid, StoreError."""
        return self._tag_flights.run((repository, tag), repository, lambda: self._bring(repository, tag))

    def manifest(self, repository: Repository, digest: Digest, media_type: str = "") -> Resolved:
        """Return a manifest that is then in the store. ``media_type`` is what its parent calls it.

        Raises UpstreamError, ManifestInvalid, StoreError.
        """
        return self._stored(digest, media_type) or self._manifest_flights.run(
            digest, repository, lambda: self._stored(digest, media_type) or self._bring(repository, str(digest))
        )

    def referrers(self, repository: Repository, digest: Digest) -> tuple[Descriptor, ...]:
        """Return what the upstream says refers to ``digest``. Raises UpstreamError, ManifestInvalid."""
        with self._side(repository.registry).manifests:
            self._go_on()
            return self._upstreams.for_registry(repository.registry).referrers(repository, digest)

    def blob(self, repository: Repository, wanted: Descriptor) -> Extent | GrowingExtent:
        """Return a blob for a client, open; as it grows, if it is still on its way and its size is known (not negative).

        Raises UpstreamError, StoreError.
        """
        while True:
            try:
                return self._blobs.open(wanted.digest)
            except BlobUnknown:
                transfer = self._begin(repository, wanted, urgent=True)
            if growing := transfer.follow():
                return growing
            # What one repository refuses may be open in another, so only a failure of our own is ours.
            if transfer.error is not None and transfer.repository == repository:
                raise transfer.error

    def complete(self, repository: Repository, root: Descriptor) -> tuple[Descriptor, ...]:
        """Bring the whole closure of ``root`` into the store and return it, as ``store.closure`` does.

        Raises the first UpstreamError, ManifestInvalid, StoreError, after every transfer has ended.
        """
        transfers: dict[Digest, Transfer] = {}
        try:
            self._walk(repository, root, transfers, 0)
        finally:
            for transfer in transfers.values():
                transfer.wait()
        for transfer in transfers.values():
            self._insist(repository, transfer)
        return closure(self._blobs, root, self.platforms)

    def close(self) -> None:
        """End running transfers; what is whole is kept, and what is not is gone on with by the next puller."""
        self._stopped.set()
        with self._lock:
            sides = tuple(self._sides.values())
        for side in sides:
            side.lanes.close()

    def _walk(self, repository: Repository, parent: Descriptor, transfers: dict[Digest, Transfer], depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ManifestInvalid(f"{repository}@{parent.digest}: indexes are nested more than {MAX_DEPTH} deep")
        self._go_on()
        self.manifest(repository, parent.digest, parent.media_type)
        try:
            wanted = children(parse_manifest(self._blobs.read(parent.digest), parent.media_type), self.platforms)
        except ManifestInvalid as error:
            raise ManifestInvalid(f"{repository}@{parent.digest}: {error.problem}", error.remedy) from None
        for child in wanted:
            if holds_others(child):
                self._walk(repository, child, transfers, depth + 1)
            elif child.digest not in transfers and child.digest not in self._blobs:
                transfers[child.digest] = self._begin(repository, child, urgent=False)

    def _insist(self, repository: Repository, transfer: Transfer) -> None:
        """Raise the transfer's error if it is ours; if another repository was refused the blob, try for ourselves."""
        while transfer.error is not None:
            if transfer.repository == repository:
                raise transfer.error
            transfer = self._begin(repository, transfer.wanted, urgent=False)
            transfer.wait()

    def _bring(self, repository: Repository, target: str) -> Resolved:
        upstream = self._upstreams.for_registry(repository.registry)
        with self._side(repository.registry).manifests:
            self._go_on()
            fetched = upstream.manifest(repository, target)
        digest = fetched.descriptor.digest
        if digest not in self._blobs:
            with self._blobs.ingest(digest) as writer:
                writer.write(fetched.raw)
                writer.commit()
        self._count(len(fetched.raw))
        self._note(repository, digest, upstream, fetched.traffic)
        return Resolved(fetched.descriptor, fetched.traffic)

    def _note(self, repository: Repository, digest: Digest, upstream: Upstream, traffic: Traffic) -> None:
        self._fetched(Fetched(time.time(), repository, digest, str(upstream), traffic.bytes, traffic.retries))

    def _stored(self, digest: Digest, media_type: str) -> Resolved | None:
        if digest not in self._blobs:
            return None
        try:
            raw = self._blobs.read(digest)
            return Resolved(Descriptor(parse_manifest(raw, media_type).media_type, digest, len(raw)), Traffic(0, 0))
        except ManifestInvalid:
            return None  # an OCI manifest may leave out its type: only its Content-Type or its parent tells

    def _begin(self, repository: Repository, wanted: Descriptor, *, urgent: bool) -> Transfer:
        """Return the transfer of a blob, the one that is under way or a new one. Raises TransferStopped."""
        with self._lock:
            transfer = self._flying.get(wanted.digest)
            if transfer is not None and not (urgent and transfer.is_waiting):
                return transfer
            if transfer is None:
                transfer = self._flying[wanted.digest] = Transfer(repository, wanted)
        # One that waits behind others is queued once more, as urgent; who comes first takes it.
        lanes = self._side(transfer.repository.registry).lanes
        if not lanes.submit(lambda: self._carry(transfer), urgent=urgent):
            self._end(transfer, _stopped())
        return transfer

    def _carry(self, transfer: Transfer) -> None:
        if not transfer.take():
            return
        error: RegistryError | None = None
        try:
            self._transfer(transfer)
        except RegistryError as problem:
            error = problem
        except Exception as problem:  # noqa: BLE001 - a bug of ours must not leave those who wait waiting for ever
            _log.exception("the transfer of %s failed", transfer.wanted.digest)
            error = RegistryError(f"the transfer of {transfer.repository}@{transfer.wanted.digest} failed: {problem!r}", "report this")
        self._end(transfer, error)

    def _end(self, transfer: Transfer, error: RegistryError | None) -> None:
        with self._lock:
            if self._flying.get(transfer.wanted.digest) is transfer:
                del self._flying[transfer.wanted.digest]
        transfer.end(error)

    def _transfer(self, transfer: Transfer) -> None:
        self._go_on()
        repository, wanted = transfer.repository, transfer.wanted
        if wanted.digest in self._blobs:
            return
        upstream = self._upstreams.for_registry(repository.registry)
        with self._blobs.resume(wanted.digest) as writer:
            try:
                traffic = upstream.blob(repository, wanted, GrowingSink(writer, transfer), self._count)
            except DigestMismatch:
                raise
            except RegistryError:
                # What came is not doubted, only unfinished: the line was cut, the token server is down, our own disk is full.
                # It is hashed again before anybody goes on with it.
                writer.keep()
                raise
        self._note(repository, wanted.digest, upstream, traffic)

    def _side(self, registry: str) -> _Side:
        with self._lock:
            if registry not in self._sides:
                self._sides[registry] = _Side(Lanes(self._transfers, _RESERVED, f"transfer from {registry}"))
            return self._sides[registry]

    def _count(self, count: int) -> None:
        self._go_on()
        self._progress(count)

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise _stopped()


def _stopped() -> TransferStopped:
    return TransferStopped("the transfer was stopped", "run again: what is whole is kept")
