"""Puller: brings images from upstreams into a store, verified, each blob once however many ask for it."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait

from registry_snapshot.errors import ManifestInvalid, UpstreamError
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import parse_manifest
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.flights import Flights
from registry_snapshot.record.upstream import FetchedManifest, Progress, no_progress
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.store.closure import MAX_DEPTH, children, closure, holds_others
from registry_snapshot.store.disk import DiskBlobStore

TRANSFERS = 6  # at once. Registries throttle by connection, so a few are faster than one; many are taken for abuse


class Puller:
    """Pulls for ``platforms`` into ``blobs``. ``progress`` is told the bytes that come, from several threads."""

    def __init__(
        self,
        blobs: DiskBlobStore,
        upstreams: Upstreams,
        platforms: tuple[Platform, ...],
        *,
        transfers: int = TRANSFERS,
        progress: Progress = no_progress,
    ) -> None:
        self.platforms = platforms
        self._blobs = blobs
        self._upstreams = upstreams
        self._progress = progress
        self._tag_flights: Flights[tuple[Repository, str], Descriptor] = Flights()
        self._manifest_flights: Flights[Digest, Descriptor] = Flights()
        self._blob_flights: Flights[Digest, None] = Flights()
        self._transfers = threading.BoundedSemaphore(transfers)
        self._workers = ThreadPoolExecutor(transfers, "transfer")
        self._stopped = threading.Event()

    def resolve(self, repository: Repository, tag: str) -> Descriptor:
        """Return what the upstream says ``tag`` is now; its manifest is then in the store. Raises UpstreamError, ManifestInvalid."""
        return self._tag_flights.run((repository, tag), repository, lambda: self._keep(self._fetch(repository, tag)))

    def manifest(self, repository: Repository, digest: Digest, media_type: str = "") -> Descriptor:
        """Return a manifest's descriptor; the manifest is then in the store. ``media_type`` is what its parent calls it.

        Raises UpstreamError, ManifestInvalid.
        """
        return self._stored(digest, media_type) or self._manifest_flights.run(
            digest, repository, lambda: self._stored(digest, media_type) or self._keep(self._fetch(repository, str(digest)))
        )

    def blob(self, repository: Repository, wanted: Descriptor) -> None:
        """Bring a blob into the store, if it is not there. A negative size is one nobody knows. Raises UpstreamError, StoreError."""
        if wanted.digest not in self._blobs:
            self._blob_flights.run(wanted.digest, repository, lambda: self._transfer(repository, wanted))

    def complete(self, repository: Repository, root: Descriptor) -> tuple[Descriptor, ...]:
        """Bring the whole closure of ``root`` into the store and return it, as ``store.closure`` does.

        Raises the first UpstreamError, ManifestInvalid, StoreError, after every transfer has ended.
        """
        transfers: dict[Digest, Future[None]] = {}
        try:
            self._walk(repository, root, transfers, 0)
        finally:
            wait(transfers.values())
        for transfer in transfers.values():
            transfer.result()
        return closure(self._blobs, root, self.platforms)

    def close(self) -> None:
        """End running transfers and keep what is whole."""
        self._stopped.set()
        # Not cancel_futures: wait() in complete() would never hear of what is cancelled so. What is queued ends at once.
        self._workers.shutdown(wait=True)

    def _walk(self, repository: Repository, parent: Descriptor, transfers: dict[Digest, Future[None]], depth: int) -> None:
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
            elif child.digest not in transfers:
                transfers[child.digest] = self._submit(repository, child)

    def _submit(self, repository: Repository, wanted: Descriptor) -> Future[None]:
        try:
            return self._workers.submit(self.blob, repository, wanted)
        except RuntimeError:  # the pool has been shut down between two looks at the flag
            raise _stopped() from None

    def _fetch(self, repository: Repository, target: str) -> FetchedManifest:
        with self._transfers:
            return self._upstreams.for_registry(repository.registry).manifest(repository, target)

    def _keep(self, fetched: FetchedManifest) -> Descriptor:
        if fetched.descriptor.digest not in self._blobs:
            with self._blobs.ingest(fetched.descriptor.digest) as writer:
                writer.write(fetched.raw)
                writer.commit()
        self._count(len(fetched.raw))
        return fetched.descriptor

    def _stored(self, digest: Digest, media_type: str) -> Descriptor | None:
        if digest not in self._blobs:
            return None
        raw = self._blobs.read(digest)
        try:
            return Descriptor(parse_manifest(raw, media_type).media_type, digest, len(raw))
        except ManifestInvalid:
            return None  # an OCI manifest may leave out its type: only its Content-Type or its parent tells

    def _transfer(self, repository: Repository, wanted: Descriptor) -> None:
        with self._transfers:
            self._go_on()
            if wanted.digest in self._blobs:
                return
            with self._blobs.ingest(wanted.digest) as writer:
                self._upstreams.for_registry(repository.registry).blob(repository, wanted, writer, self._count)

    def _count(self, count: int) -> None:
        self._go_on()
        self._progress(count)

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise _stopped()


def _stopped() -> UpstreamError:
    return UpstreamError("the transfer was stopped", "run again: what is whole is kept")
