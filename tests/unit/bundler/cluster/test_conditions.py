"""A conditions.yaml that makes no sense ends a build before there is any cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
import zstandard

from bundler.cluster.conditions import check_conditions
from bundler.errors import BuildFailed
from installer_stub.bundle.model import FILE_ZSTD, PLAIN, ClusterFile
from installer_stub.clusterfile.document import MOST_BYTES
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.disk import DiskBlobStore


def file(blobs: DiskBlobStore, text: str, *, packed: bool = False) -> ClusterFile:
    raw = text.encode()
    data = zstandard.compress(raw) if packed else raw
    return ClusterFile("conditions.yaml", PLAIN, len(raw), Digest.of(raw), Descriptor(FILE_ZSTD if packed else "application/octet-stream", blobs.put(data), len(data)))


@pytest.mark.parametrize("packed", [False, True])
def test_every_problem_is_said_with_its_line(tmp_path: Path, *, packed: bool) -> None:
    blobs = DiskBlobStore(tmp_path)
    check_conditions([], blobs)
    check_conditions([file(blobs, "conditions: [{name: a, command: [probe]}]\n", packed=packed)], blobs)
    with pytest.raises(BuildFailed, match=r"conditions.yaml:1: conditions\[0\].name: is missing"):
        check_conditions([file(blobs, "conditions: [{command: [probe]}]\n", packed=packed)], blobs)


def test_one_that_is_too_large_is_not_unpacked(tmp_path: Path) -> None:
    blobs = DiskBlobStore(tmp_path)
    with pytest.raises(BuildFailed, match="larger than"):
        check_conditions([file(blobs, "#" * (MOST_BYTES + 1), packed=True)], blobs)
