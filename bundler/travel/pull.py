"""Pulling a cluster image, and if it is wanted what was recorded of it: then a file can be sealed here without docker and without a cluster.

Nothing of it is believed: every blob is hashed, and ``recorded_elsewhere`` looks whether a recording is of the image.
"""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.cache.builds import in_use
from bundler.cluster_images.store import ClusterImages
from bundler.errors import RecordingMissing
from bundler.pull_progress import PullProgress
from bundler.travel.known import remember_held
from bundler.travel.upstreams import Ways, remote_name
from installer_stub.phases.reporter import Reporter
from installer_stub.ui.transfer import size
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.puller import Puller
from registry_snapshot.record.upstreams import Upstreams

if TYPE_CHECKING:
    from bundler.steps.sealable import Sealable


@dataclass(frozen=True, slots=True)
class PullOptions:
    """Everything ``airseal pull`` is told."""

    name: str
    cache: Path
    ways: Ways
    with_snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was pulled. Sizes in bytes: ``size`` of everything, ``travelled`` of what had to come. ``sealable`` is what sealing needs, if that was asked for."""

    reference: Reference
    digest: Digest
    size: int
    travelled: int
    sealable: Sealable | None = None
    images: int = 0

    def lines(self) -> tuple[str, ...]:
        """Return the closing lines."""
        with_it = f", with its recording and {self.images} images: airseal seal {self.sealable.info.title} -o FILE" if self.sealable else ""
        return (
            f"pulled {self.reference}{with_it}",
            f"  {self.moved_line()}",
            f"  digest {self.digest}",
        )

    def moved_line(self) -> str:
        """Return how much of it had to come."""
        return f"{size(self.travelled)} travelled, {size(max(self.size - self.travelled, 0))} was here already"

    def fields(self) -> dict[str, object]:
        """Return the figures for machines, sizes in bytes."""
        title = self.sealable.info.title if self.sealable else ""
        return {
            "reference": str(self.reference), "digest": str(self.digest), "size": self.size, "travelled": self.travelled,
            "recording": self.sealable is not None, "title": title, "images": self.images,
        }  # fmt: skip


def pull(options: PullOptions, reporter: Reporter) -> Fetched:
    """Pull a cluster image into the store; its name is set when all of it is there.

    Raises UsageError, UpstreamError, ManifestInvalid, StoreError, ClusterImageError; RecordingMissing and RecordingForeign if the snapshot
    is wanted.
    """
    reference = remote_name(options.name)
    with in_use(options.cache), options.ways.upstreams(reference.repository.registry) as upstreams:
        pulling = _Pulling(options, reference, upstreams, reporter)
        reporter.step(f"pulling {reference}")
        root = pulling.image()
        kept, images = pulling.recording(root) if options.with_snapshot else (None, 0)
        remember_held(options.cache, reference.repository, pulling.digests)
        return Fetched(reference, root.digest, pulling.size, pulling.travelled, kept, images)


class _Pulling:
    """One pull: the parts that came, each once."""

    def __init__(self, options: PullOptions, reference: Reference, upstreams: Upstreams, reporter: Reporter) -> None:
        self.travelled = 0
        self._options = options
        self._reference = reference
        self._repository = reference.repository
        self._upstreams = upstreams
        self._reporter = reporter
        self._images = ClusterImages(options.cache)
        self._parts: dict[Digest, int] = {}
        self._lock = threading.Lock()
        self._progress = PullProgress(reporter)

    @property
    def size(self) -> int:
        """Bytes of everything that the pull was about."""
        return sum(self._parts.values())

    @property
    def digests(self) -> frozenset[Digest]:
        """All of it."""
        return frozenset(self._parts)

    def image(self) -> Descriptor:
        """Bring the image and give it its name."""
        reference = self._reference
        with closing(self._puller(None)) as puller:
            by_digest = reference.digest is not None
            found = puller.manifest(self._repository, reference.digest) if by_digest and reference.digest else puller.resolve(self._repository, reference.tag or "")
            self._complete(puller, found.descriptor)
        self._images.put(reference, found.descriptor)
        return found.descriptor

    def recording(self, root: Descriptor) -> tuple[Sealable, int]:
        """Bring what was recorded of the image, look whether it is of this image, and keep it; return what sealing needs, and how many images."""
        # Half of what there is of us, and an image alone needs none of it.
        from bundler.travel.artifacts import newest, read_recording
        from bundler.travel.recorded_elsewhere import check_recording, keep_recording

        reporter = self._reporter
        with closing(self._puller(None)) as puller:
            found = newest(puller.referrers(self._repository, root.digest))
            if found is None:
                remedy = f"push it with its recording from where it was built: airseal push NAME {self._reference}; or build it here"
                raise RecordingMissing(f"{self._reference} is there, and no recording of it", remedy)
            self._complete(puller, found)
        carried = read_recording(found, root.digest, self._images.blobs)
        images = carried.recorded.images
        reporter.step(f"{carried.sealable.info.title} was recorded with {carried.recorded.lock.count}")
        with closing(self._puller(carried.platforms)) as puller:
            for _, each in images:
                self._complete(puller, each)
        check_recording(carried, root, str(self._reference), self._options.cache, reporter)
        return keep_recording(carried, found.digest, self._options.cache), len(images)

    def _puller(self, platforms: tuple[Platform, ...] | None) -> Puller:
        return Puller(self._images.blobs, self._upstreams, platforms, progress=self._came)

    def _complete(self, puller: Puller, root: Descriptor) -> None:
        self._parts |= {part.digest: part.size for part in puller.complete(self._repository, root)}

    def _came(self, count: int) -> None:
        with self._lock:
            self.travelled += count
        self._progress(count)
