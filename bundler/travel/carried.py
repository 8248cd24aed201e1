"""What was recorded of a cluster image, found in the cache for a push."""

from __future__ import annotations

from pathlib import Path

from bundler.cluster_images.store import ClusterImage
from bundler.pack.stubs import frozen_before
from bundler.steps import proofs
from bundler.steps.sealing import measured
from bundler.travel.artifacts import Carried
from bundler.travel.cluster_of import recording_for
from installer_stub.phases.reporter import Reporter
from registry_snapshot.oci.digest import Digest


def carried_with(image: ClusterImage, cache: Path, reporter: Reporter) -> Carried | None:
    """Return what was recorded of the image, with the receipt of its rehearsal if the installer that recorded it is still here.

    None where nothing was recorded of it, or it is no longer whole, which is told. Raises ClusterImageInvalid, RegistryError, OSError.
    """
    found = recording_for(image, cache, reporter)
    if found is None:
        reporter.step(f"nothing was recorded of {image.name} in this cache, so it travels without images: airseal build records it")
        return None
    kept, result = found
    stub = frozen_before(cache, kept.stub)
    if stub is None:
        return Carried(kept, result)
    content = Digest.of(measured(kept.info, result, stub, cache, reporter).content)
    receipt = proofs.proof_of(cache, content, kept.allowed)
    return Carried(kept, result, (content, receipt) if receipt is not None else None)
