"""images.txt: one reference a line, wrong ones named."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.errors import BuildFailed, KubefileError
from bundler.file_store import FileStore
from bundler.image_list import balancer_image, listed_images, parse_list
from installer_stub.bundle.model import BALANCER_LABEL, ClusterFile
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.disk import DiskBlobStore

TEXT = "# nobody pulls these\n\nbusybox:1.36  # for debugging\nquay.io/a/b:2\n"
FOUND = [("images.txt:3", "docker.io/library/busybox:1.36"), ("images.txt:4", "quay.io/a/b:2")]


def test_lines_and_comments() -> None:
    assert [(where, str(reference)) for where, reference in parse_list(TEXT)] == FOUND


def test_a_line_that_is_no_reference() -> None:
    with pytest.raises(KubefileError, match=r"images\.txt:2: "):
        parse_list("busybox\nNot An Image\n")


@pytest.mark.parametrize("text", [TEXT, TEXT + "# padding, so that it is compressed\n" * 100])
def test_the_file_is_read_from_its_blob(tmp_path: Path, text: str) -> None:
    import io

    store = FileStore(DiskBlobStore(tmp_path / "store"), tmp_path / "compressed")
    data = text.encode()
    blob = store.store(io.BytesIO(data), Digest.of(data), len(data))
    files = [
        ClusterFile("deep/images.txt", 0o644, 1, Digest.of(b"x"), blob),
        ClusterFile("images.txt", 0o644, len(data), Digest.of(data), blob),
    ]
    assert [(where, str(reference)) for where, reference in listed_images(files, store.blobs)] == FOUND
    assert listed_images(files[:1], store.blobs) == ()


def test_the_balancer_that_a_base_names_is_sealed_and_none_is_made_up() -> None:
    ((why, reference),) = balancer_image({BALANCER_LABEL: "haproxy:3.0.11"})
    assert (why, str(reference)) == ("load balancer of the nodes", "docker.io/library/haproxy:3.0.11")
    assert balancer_image({}) == ()


def test_a_balancer_that_is_no_image_stops_the_build() -> None:
    with pytest.raises(BuildFailed, match=r"internal\.airseal\.balancer"):
        balancer_image({BALANCER_LABEL: "Not An Image"})
