"""Pusher: brings images from a store to a repository. Blobs first, then manifests, children before parents; tags last of all.

So nobody ever sees a name whose content is not all there, and what was pushed before a failure is not pushed again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass

from registry_snapshot.errors import TransferStopped, UpstreamError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import MAX_MANIFEST_BYTES
from registry_snapshot.oci.reference import Repository
from registry_snapshot.push.manifests import Manifests
from registry_snapshot.push.refusals import refused
from registry_snapshot.push.upload import Upload, Uploaded, Way
from registry_snapshot.record.download import Progress, no_progress
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.store.base import BlobReader
from registry_snapshot.store.bounded import read_blob
from registry_snapshot.store.closure import children, closure, holds_others, read_manifest

AT_ONCE = 4  # blobs on their way to one registry


@dataclass(frozen=True, slots=True)
class Parcel:
    """A manifest or index with all that it needs, and the tag that it gets; without one it is there by its digest alone."""

    root: Descriptor
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push came to. ``travelled`` are bytes that went out, manifests and repeated ones included; the others are bytes of content.

    ``there`` was in the repository already, ``mounted`` was in another one of that registry; ``blobs`` are all, ``sent`` those that travelled.
    """

    travelled: int
    there: int
    mounted: int
    blobs: int
    sent: int


class Pusher:
    """Pushes from ``blobs`` through ``upstreams``. ``progress`` is told bytes, from several threads: those that need not travel too."""

    def __init__(self, upstreams: Upstreams, blobs: BlobReader, *, progress: Progress = no_progress, at_once: int = AT_ONCE) -> None:
        self._upstreams = upstreams
        self._blobs = blobs
        self._progress = progress
        self._at_once = at_once
        self._stopped = threading.Event()

    def size(self, parcels: Sequence[Parcel]) -> int:
        """Return the bytes of all blobs of ``parcels``, each once: what ``progress`` adds up to. Raises BlobUnknown, ManifestInvalid."""
        return sum(blob.size for blob in self._sorted(parcels)[0].values())

    def push(self, repository: Repository, parcels: Sequence[Parcel], mounts: Mapping[Digest, Repository] | None = None) -> Pushed:
        """Push ``parcels`` in their order, of indexes all children. ``mounts`` says which repository of the same registry has a blob.

        Raises the first UpstreamError (PushRefused and its kinds), BlobUnknown, DigestMismatch, ManifestInvalid, StoreError.
        """
        try:
            blobs, manifests = self._sorted(parcels)
            uploaded = self._upload(repository, list(blobs.values()), mounts or {})
            target = Manifests(self._upstreams.for_registry(repository.registry), repository)
            travelled = sum(target.push(read_blob(self._blobs, each.digest, MAX_MANIFEST_BYTES), each) for each in manifests.values())
            for parcel in parcels:
                if parcel.tag:
                    travelled += target.push(read_blob(self._blobs, parcel.root.digest, MAX_MANIFEST_BYTES), parcel.root, parcel.tag)
        except UpstreamError as error:
            raise refused(error, repository, self._upstreams.login_in_words(repository.registry)) from error
        return _sum(blobs, uploaded, travelled)

    def close(self) -> None:
        """End what is under way; a pusher that was closed pushes no more."""
        self._stopped.set()

    def _go_on(self, count: int) -> None:
        """Tell of bytes. Raises TransferStopped, in the middle of a blob too."""
        if self._stopped.is_set():
            raise TransferStopped("the push was stopped", "push again: what is there is not pushed twice")
        self._progress(count)

    def _sorted(self, parcels: Sequence[Parcel]) -> tuple[dict[Digest, Descriptor], dict[Digest, Descriptor]]:
        """Return blobs, and manifests that get no tag of their own: children before parents, in the order of the parcels."""
        blobs: dict[Digest, Descriptor] = {}
        manifests: dict[Digest, Descriptor] = {}

        def visit(part: Descriptor) -> None:
            if part.digest in manifests or part.digest in blobs:
                return
            if not holds_others(part):
                blobs[part.digest] = part
                return
            for child in children(read_manifest(self._blobs, part), None):
                visit(child)
            manifests[part.digest] = part

        for parcel in parcels:
            closure(self._blobs, parcel.root, None)  # which bounds how deep it is, and looks whether all is here
            visit(parcel.root)
        for parcel in parcels:
            if parcel.tag:
                manifests.pop(parcel.root.digest, None)
        return blobs, manifests

    def _upload(self, repository: Repository, blobs: list[Descriptor], mounts: Mapping[Digest, Repository]) -> list[Uploaded]:
        """Upload all, the largest first, a few at once. The first failure ends the others."""
        session = self._upstreams.for_registry(repository.registry).session

        def one(blob: Descriptor) -> Uploaded:
            self._go_on(0)
            return Upload(session, repository, blob, self._blobs, self._go_on).run(mounts.get(blob.digest))

        ordered = sorted(blobs, key=lambda blob: -blob.size)
        with ThreadPoolExecutor(self._at_once, thread_name_prefix="push") as pool:
            waiting = [pool.submit(one, blob) for blob in ordered]
            try:
                done, _ = wait(waiting, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            except BaseException as error:
                self.close()
                if not isinstance(error, Exception):
                    self._upstreams.stop()  # somebody stopped us, and waits for whoever waits
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [future.result() for future in waiting]


def _sum(blobs: Mapping[Digest, Descriptor], uploaded: list[Uploaded], travelled: int) -> Pushed:
    sizes = sorted((blob.size for blob in blobs.values()), reverse=True)  # as they were uploaded
    by_way = {way: sum(size for size, each in zip(sizes, uploaded, strict=True) if each.way is way) for way in Way}
    sent = sum(each.way is Way.SENT for each in uploaded)
    return Pushed(travelled + sum(each.bytes for each in uploaded), by_way[Way.THERE], by_way[Way.MOUNTED], len(uploaded), sent)
