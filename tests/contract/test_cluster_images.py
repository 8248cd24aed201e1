"""Cluster images against the real parts: what docker makes of the same layers, what docker and skopeo read of what we write."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bundler.cluster_images.contents import contents_for
from bundler.cluster_images.flatten import flatten
from bundler.cluster_images.from_docker import import_image
from bundler.cluster_images.load import load
from bundler.cluster_images.names import full_name
from bundler.cluster_images.save import archive, save
from bundler.cluster_images.store import ClusterImages
from bundler.engine import Engine
from bundler.file_store import FileStore
from bundler.files import collect
from bundler.kubefile.upstream import load as docker_load
from installer_stub.bundle.cluster_files import cluster_manifest
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.bundler.cluster_images.made import Made, file, folder, hard, layer, saved, soft
from tests.unit.bundler.reporter import Remembering

TAG = "airseal.internal/image/contract-layers:1"
BASE = [folder("cluster"), folder("cluster/a"), folder("bin"), file("cluster/a/one", "1" * 5000), file("cluster/a/two", "2", 0o755), file("cluster/b/three", "3"), file("bin/tool", "tool", 0o755)]
# Each is one image: layers over BASE.
IMAGES: dict[str, list[list[Made]]] = {
    "plain": [[file("cluster/a/one", "new"), file("cluster/c", "c", 0o600)], [file("cluster/a/one", "newer")]],
    "whiteouts": [[file("cluster/a/.wh.one", ""), folder("cluster/a")], [file("cluster/.wh.b", "")]],
    "opaque": [[folder("cluster/a"), file("cluster/a/.wh..wh..opq", ""), file("cluster/a/new", "n")]],
    "everything": [[file(".wh.cluster", "")], [folder("cluster"), file("cluster/again", "a")]],
    "kinds": [[file("cluster/a", "a file now"), folder("cluster/b/three"), file("cluster/b/three/deep", "d")]],
    "links": [[soft("cluster/soft", "a"), soft("cluster/far", "/cluster/b/three"), file("cluster/n", "n"), hard("cluster/same", "cluster/n"), file("bin/x", "x", 0o755), hard("cluster/x", "bin/x", 0o755)]],
    "changed links": [[file("cluster/n", "n"), hard("cluster/same", "cluster/n")], [file("cluster/n", "other")], [file("cluster/.wh.n", "")]],
    "empty": [[folder("cluster/empty"), folder("cluster/a/deep/empty")], []],
}


@pytest.fixture
def engine() -> Iterator[Engine]:
    with closing(Engine.connect()) as found:
        yield found


@pytest.fixture
def images(tmp_path: Path) -> ClusterImages:
    (tmp_path / "cache").mkdir()
    return ClusterImages(tmp_path / "cache")


def put(engine: Engine, layers: list[list[Made]], tag: str = TAG) -> None:
    docker_load(engine, iter([saved([layer(*BASE), *(layer(*each) for each in layers)], [tag])]), tag, lambda _: None)


@pytest.mark.parametrize("name", IMAGES)
def test_layers_alone_give_what_dockers_archive_gives(engine: Engine, images: ClusterImages, tmp_path: Path, name: str) -> None:
    put(engine, IMAGES[name])
    try:
        info = engine.image(TAG)
        assert info is not None
        made = import_image(engine, images, info, (), Remembering())
        contents = contents_for(images.blobs, made, TAG)
        assert str(contents.manifest.config.digest) == info.id
        assert tuple(map(str, contents.config.contents)) == info.layers
        store = FileStore(DiskBlobStore(tmp_path / "files"), tmp_path / "compressed")
        with engine.archive(info.id, "/cluster", {}) as stream:
            dockers = cluster_manifest(collect(stream, store, Remembering()).files)
        assert cluster_manifest(collect(flatten(contents, images.blobs), store, Remembering()).files) == dockers
    finally:
        engine.untag(TAG)


def test_docker_reads_what_was_saved_and_gives_it_back(engine: Engine, images: ClusterImages) -> None:
    tag = "airseal.internal/image/contract-saved:1"
    put(engine, IMAGES["plain"], tag)
    try:
        info = engine.image(tag)
        assert info is not None
        images.put(full_name("contract-saved:1"), import_image(engine, images, info, (), Remembering()))
        engine.client.api.remove_image(tag)
        assert engine.image(tag) is None
        docker_load(engine, archive(images, images.find("contract-saved:1")), tag, lambda _: None)
        again = engine.image(tag)
        assert again is not None
        assert (again.id, again.labels) == (info.id, info.labels)
    finally:
        engine.untag(tag)


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed: apt-get install skopeo")
def test_skopeo_reads_what_was_saved_and_we_what_it_writes(engine: Engine, images: ClusterImages, tmp_path: Path) -> None:
    tag = "airseal.internal/image/contract-skopeo:1"
    put(engine, IMAGES["plain"], tag)
    try:
        info = engine.image(tag)
        assert info is not None
        images.put(full_name("contract-skopeo:1"), import_image(engine, images, info, (), Remembering()))
    finally:
        engine.untag(tag)
    image = images.find("contract-skopeo:1")
    save(images, image, tmp_path / "ours.tar")
    skopeo = ["skopeo", "--tmpdir", str(tmp_path)]
    said = json.loads(subprocess.run([*skopeo, "inspect", f"oci-archive:{tmp_path}/ours.tar"], check=True, capture_output=True, timeout=60).stdout)
    assert said["Digest"] == str(image.descriptor.digest)
    subprocess.run([*skopeo, "copy", f"oci-archive:{tmp_path}/ours.tar", f"oci-archive:{tmp_path}/theirs.tar:{tag}"], check=True, capture_output=True, timeout=60)
    (tmp_path / "other").mkdir()
    other = ClusterImages(tmp_path / "other")
    ((reference, descriptor),) = load(other, tmp_path / "theirs.tar", Remembering())
    other.put(reference, descriptor)
    assert (str(reference), descriptor.digest) == (tag, image.descriptor.digest)
