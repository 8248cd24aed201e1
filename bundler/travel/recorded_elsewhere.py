"""What was recorded of an image on another machine: whether it is of that image, and where it is kept.

The cluster files are made again from the image's layers and have to be those of the recording, and so do commands, environment and labels.
It is kept under a key of its own, so that no build here ever takes it for its own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bundler.cluster_images.contents import contents_for
from bundler.cluster_images.taken_over import environment_of, labels_of
from bundler.errors import RecordingForeign
from bundler.kubefile.commands import commands_from_json
from bundler.kubefile.dockerfile import COMMANDS_LABEL, KUBERNETES_LABEL
from bundler.steps import proofs, recorded, recording, sealable
from bundler.steps.sealable import Sealable
from bundler.steps.shelf import Shelf, key_of
from bundler.travel.artifacts import Carried
from bundler.travel.cluster_of import COMPRESSOR, cluster_of
from installer_stub.bundle.cluster_files import parse_cluster_manifest
from installer_stub.phases.reporter import Reporter
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.disk import DiskBlobStore


def check_recording(carried: Carried, root: Descriptor, name: str, cache: Path, reporter: Reporter) -> None:
    """Raise RecordingForeign unless cluster files, commands, environment and labels of the recording are those of the image ``root``.

    Both are in the store of ``cache``; ``name`` is what the image is called in errors.
    """
    info, blobs = carried.sealable.info, DiskBlobStore(cache / "store")
    image = contents_for(blobs, root, name, Platform.parse(info.platforms[0]) if info.platforms else None)
    again = "push the cluster image again from the machine that recorded it"
    commands = commands_from_json(image.config.labels.get(COMMANDS_LABEL, "") or "[]", COMMANDS_LABEL)
    if commands != info.commands or image.config.labels.get(KUBERNETES_LABEL) != info.kubernetes:
        raise RecordingForeign(f"what was recorded of {name} had another Kubernetes, or ran other commands, than the image has", again)
    if (environment_of(image.config.environment), labels_of(image.config.labels)) != (dict(info.environment), dict(info.labels)):
        raise RecordingForeign(f"what was recorded of {name} had another environment, or other labels, than the image has", again)
    made = cluster_of(image, cache, reporter)
    if (made.digest, made.size) != (info.cluster.digest, info.cluster.size):
        if carried.compressor != COMPRESSOR:
            again = f"its files were compressed with {carried.compressor or 'another compressor'}, and here with {COMPRESSOR}: seal it where that is the same"
        raise RecordingForeign(f"the cluster files of {name} are {made.digest}, and what was recorded of it had {info.cluster.digest}", again)
    files = parse_cluster_manifest(blobs.read(made.digest))
    if sum(file.size for file in files) != info.files_size:
        raise RecordingForeign(f"what was recorded of {name} tells another size of its cluster files than they have", again)


def keep_recording(carried: Carried, artifact: Digest, cache: Path) -> Sealable:
    """Keep what came in ``artifact``, and return it as sealing finds it. Raises StoreError, OSError."""
    kept = replace(carried.sealable, recording=key_of({"pulled": artifact}))
    Shelf(cache, recording.STEP).put(kept.recording, recorded.encode(carried.recorded))
    sealable.keep(cache, kept)
    if carried.proof is not None:
        content, receipt = carried.proof
        proofs.keep(cache, key_of({"pulled": artifact, "content": content}), content, receipt)
    return kept
