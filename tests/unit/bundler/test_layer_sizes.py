"""A layer's unpacked size is counted, in every compression, and once."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import zstandard

from bundler.layer_sizes import is_layer, unpacked_size
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.media_types import OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.bundler.reporter import Remembering

TAR = bytes(3_000_000)
DOCKER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def layer(blobs: DiskBlobStore, data: bytes, media_type: str) -> Descriptor:
    return Descriptor(media_type, blobs.put(data), len(data))


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (TAR, OCI_LAYER),
        (gzip.compress(TAR), OCI_LAYER_GZIP),
        (gzip.compress(TAR), DOCKER_GZIP),
        (gzip.compress(TAR[:1_000_000]) + gzip.compress(TAR[1_000_000:]), OCI_LAYER_GZIP),
        (gzip.compress(TAR) + bytes(512), OCI_LAYER_GZIP),
        (zstandard.compress(TAR), OCI_LAYER_ZSTD),
        (zstandard.compress(TAR[:500]) + zstandard.compress(TAR[500:]), OCI_LAYER_ZSTD),
    ],
)
def test_bytes_are_counted(tmp_path: Path, data: bytes, media_type: str) -> None:
    blobs = DiskBlobStore(tmp_path)
    one = layer(blobs, data, media_type)
    assert is_layer(one)
    assert unpacked_size([one, one], blobs, tmp_path / "memory", Remembering()) == len(TAR)
    blobs.path(one.digest).unlink()
    assert unpacked_size([one], blobs, tmp_path / "memory", Remembering()) == len(TAR)


def test_a_layer_that_nobody_could_unpack(tmp_path: Path) -> None:
    blobs = DiskBlobStore(tmp_path)
    one = layer(blobs, b"no gzip", OCI_LAYER_GZIP)
    with pytest.raises(RegistryError, match=str(one.digest)):
        unpacked_size([one], blobs, tmp_path / "memory", Remembering())


def test_configs_are_no_layers(tmp_path: Path) -> None:
    assert not is_layer(layer(DiskBlobStore(tmp_path), b"{}", OCI_CONFIG))
