"""The cluster artifact's manifest: one layer a file of ``/cluster``, named as ORAS names them.

Source: OCI image-spec manifest.md, "Guidelines for Artifact Usage"; annotations: ``installer_stub.bundle.model``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from installer_stub.bundle.canonical import refusing, write
from installer_stub.bundle.model import (
    CLUSTER_ARTIFACT,
    CONTENT_DIGEST,
    CONTENT_SIZE,
    FILE_PLAIN,
    FILE_ZSTD,
    MODE,
    TITLE,
    ClusterFile,
)
from installer_stub.errors import BundleError
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import Manifest, parse_manifest
from registry_snapshot.oci.media_types import OCI_EMPTY, OCI_MANIFEST

EMPTY: Final = b"{}"  # the config of an artifact that has none: OCI image-spec, "Guidance for an Empty Descriptor"
EMPTY_CONFIG: Final = Descriptor(OCI_EMPTY, Digest.of(EMPTY), len(EMPTY))

OTHERS_WRITE: Final = 0o022
_SEGMENT = re.compile(r"[^/\x00-\x1f\x7f]{1,255}")
_MODE = re.compile(r"0[0-7]{3}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")
_REMEDY = "the cluster image is broken; build it again"


def cluster_manifest(files: Iterable[ClusterFile]) -> bytes:
    """Return the manifest of ``files``: sorted by path, so the same files are the same bytes. Raises BundleError."""
    ordered = sorted(files, key=lambda file: file.path)
    _check(ordered)
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": CLUSTER_ARTIFACT,
        "config": EMPTY_CONFIG.to_json(),
        # OCI asks an artifact without content for the empty descriptor as its one layer.
        "layers": [_layer(file).to_json() for file in ordered] or [EMPTY_CONFIG.to_json()],
    }
    return write(value)


def parse_cluster_manifest(raw: bytes) -> tuple[ClusterFile, ...]:
    """Return the files that a cluster artifact's manifest lists, by path.

    Raises BundleError for paths that leave the directory or occur twice, for modes that no file of ours has, and for other bytes
    than ``cluster_manifest`` would write.
    """
    try:
        manifest = parse_manifest(raw, OCI_MANIFEST)
        if not isinstance(manifest, Manifest) or manifest.artifact_type != CLUSTER_ARTIFACT:
            raise BundleError("the manifest of the cluster files is of another type", _REMEDY)
        layers = [layer for layer in manifest.layers if layer.media_type != OCI_EMPTY]
        files = sorted((_file(layer) for layer in layers), key=lambda file: file.path)
    except RegistryError as error:
        raise BundleError(f"the manifest of the cluster files cannot be read: {error.problem}", _REMEDY) from None
    _check(files)
    with refusing("the manifest of the cluster files", _REMEDY):
        written = cluster_manifest(files)
    if written != raw:
        raise BundleError("the manifest of the cluster files says more, or in another way, than it has to", _REMEDY)
    return tuple(files)


def _layer(file: ClusterFile) -> Descriptor:
    annotations = {
        TITLE: file.path,
        MODE: f"{file.mode:04o}",
        CONTENT_DIGEST: str(file.digest),
        CONTENT_SIZE: str(file.size),
    }
    return Descriptor(file.blob.media_type, file.blob.digest, file.blob.size, annotations=annotations)


def _file(layer: Descriptor) -> ClusterFile:
    notes = layer.annotations
    path, mode, size = notes.get(TITLE, ""), notes.get(MODE, ""), notes.get(CONTENT_SIZE, "")
    if not _MODE.fullmatch(mode):
        raise BundleError(f"the cluster file {path[:200]!r} has the mode {mode[:20]!r}, not four octal digits", _REMEDY)
    if not _SIZE.fullmatch(size):
        raise BundleError(f"the cluster file {path[:200]!r} has no size", _REMEDY)
    blob = Descriptor(layer.media_type, layer.digest, layer.size)
    return ClusterFile(path, int(mode, 8), int(size), Digest.parse(notes.get(CONTENT_DIGEST, "")), blob)


def _check(files: list[ClusterFile]) -> None:
    seen: set[str] = set()
    for file in files:
        segments = file.path.split("/")
        if any(segment in {".", ".."} or not _SEGMENT.fullmatch(segment) for segment in segments):
            raise BundleError(f"{file.path[:200]!r} is not a path below /cluster", _REMEDY)
        if file.path in seen:
            raise BundleError(f"the cluster file {file.path!r} is listed twice", _REMEDY)
        if not 0o400 <= file.mode <= 0o777:
            raise BundleError(f"the cluster file {file.path!r} has the mode {file.mode:o}", "use permission bits only, no setuid")
        if file.mode & OTHERS_WRITE:
            problem = f"the cluster file {file.path!r} has the mode {file.mode:o}: every user of a host could change what root runs there"
            raise BundleError(problem, "build it again with a newer airseal")
        if file.blob.media_type not in {FILE_ZSTD, FILE_PLAIN}:
            raise BundleError(f"the cluster file {file.path!r} is stored as {file.blob.media_type[:80]!r}", _REMEDY)
        if file.blob.media_type == FILE_PLAIN and (file.blob.digest, file.blob.size) != (file.digest, file.size):
            raise BundleError(f"the cluster file {file.path!r} contradicts its own blob", _REMEDY)
        seen.add(file.path)
    directories = {path[:at] for path in seen for at, letter in enumerate(path) if letter == "/"}
    for path in sorted(directories & seen):
        raise BundleError(f"the cluster file {path!r} is also a directory", _REMEDY)
