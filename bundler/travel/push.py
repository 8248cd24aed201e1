"""Pushing a cluster image: itself, and what was recorded of it, so that a file can be sealed from the registry alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.cache.builds import in_use
from bundler.cluster_images.store import ClusterImage, ClusterImages
from bundler.errors import UsageError
from bundler.steps.sealable import is_anything_kept
from bundler.travel.known import held_elsewhere, remember_held
from bundler.travel.upstreams import Ways, remote_name
from installer_stub.phases.reporter import Reporter
from installer_stub.ui.transfer import size
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.push.pusher import Parcel, Pushed, Pusher
from registry_snapshot.store.closure import closure

if TYPE_CHECKING:
    from bundler.travel.artifacts import Carried


@dataclass(frozen=True, slots=True)
class PushOptions:
    """Everything ``airseal push`` is told. ``target`` is where to, empty for the image's own name; one without a tag gets the image's own."""

    name: str
    target: str
    cache: Path
    ways: Ways
    with_snapshot: bool = True


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was pushed where; ``images`` are those of the snapshot, None where none was pushed."""

    reference: Reference
    digest: Digest
    pushed: Pushed
    images: int | None

    def lines(self) -> tuple[str, ...]:
        """Return the closing lines."""
        pushed = self.pushed
        mounted = f", {size(pushed.mounted)} came from other repositories there" if pushed.mounted else ""
        with_it = f"with its recording and {self.images} images: airseal seal {self.reference} -o FILE" if self.images is not None else "without a recording"
        return (
            f"pushed {self.reference}, {with_it}",
            f"  {size(pushed.travelled)} travelled ({pushed.sent} of {pushed.blobs} blobs), {size(pushed.there)} was there already{mounted}",
            f"  digest {self.digest}",
        )

    def fields(self) -> dict[str, object]:
        """Return the figures for machines, sizes in bytes."""
        pushed = self.pushed
        return {
            "reference": str(self.reference), "digest": str(self.digest), "travelled": pushed.travelled, "there": pushed.there,
            "mounted": pushed.mounted, "blobs": pushed.blobs, "sent": pushed.sent, "recording": self.images is not None, "images": self.images or 0,
        }  # fmt: skip


def push(options: PushOptions, reporter: Reporter) -> Delivered:
    """Push a cluster image. Its tag is set last, when everything is there.

    Raises ClusterImageUnknown, ClusterImageIncomplete, UsageError, UpstreamError (PushRefused and its kinds), RegistryError.
    """
    images = ClusterImages(options.cache)
    image = images.find(options.name)
    target = _target(options, image)
    with in_use(options.cache), options.ways.upstreams(target.repository.registry) as upstreams:
        images.parts(image)
        carried = _carried(options, image, reporter)
        parcels = [*(carried.parcels(image.descriptor, images.blobs) if carried is not None else ()), Parcel(image.descriptor, target.tag or "")]
        whole = 0
        with closing(Pusher(upstreams, images.blobs, progress=lambda count: reporter.moved("pushed", count, whole))) as pusher:
            whole = pusher.size(parcels)
            reporter.step(f"pushing {image.name} to {target}: {size(whole)}, of which what is there does not travel")
            pushed = pusher.push(target.repository, parcels, dict(_mounts(images, target.repository, carried)))
        remember_held(options.cache, target.repository, {part.digest for parcel in parcels for part in closure(images.blobs, parcel.root, None)})
    return Delivered(target, image.descriptor.digest, pushed, len(carried.recorded.images) if carried is not None else None)


def _target(options: PushOptions, image: ClusterImage) -> Reference:
    text = options.target or options.name
    target = remote_name(text)
    if target.digest is None and not text.endswith(f":{target.tag}"):
        target = replace(target, tag=image.reference.tag)
    if target.digest is not None and target.digest != image.descriptor.digest:
        raise UsageError(f"{image.name} has the digest {image.descriptor.digest}, and cannot be pushed as {target}", "leave the digest out")
    return target


def _carried(options: PushOptions, image: ClusterImage, reporter: Reporter) -> Carried | None:
    """Return what was recorded of the image; that takes half of what there is of us, so it is imported where it is wanted."""
    if not options.with_snapshot or not is_anything_kept(options.cache):
        if options.with_snapshot:
            reporter.step(f"nothing was recorded in this cache, so {image.name} travels without images: airseal build records it")
        return None
    from bundler.travel.carried import carried_with

    return carried_with(image, options.cache, reporter)


def _mounts(images: ClusterImages, target: Repository, carried: Carried | None) -> Iterator[tuple[Digest, Repository]]:
    """Yield blobs that other repositories of the same registry have, as far as we know: images that were recorded from there, too."""
    yield from held_elsewhere(images, target)
    if carried is None:
        return
    for reference, root in carried.recorded.images:
        repository = reference.repository
        if repository.registry == target.registry and repository != target:
            yield from ((part.digest, repository) for part in closure(images.blobs, root, carried.platforms))
