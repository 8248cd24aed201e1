"""Cluster images against the real parts: what docker makes of the same layers, what docker and skopeo read of what we write."""

from __future__ import annotations

import json
import shutil
import subprocess
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from bundler.build import cluster_image, keep_made
from bundler.cache.in_docker import remove_image
from bundler.cluster_images.contents import Origin, contents_for
from bundler.cluster_images.flatten import flatten
from bundler.cluster_images.from_docker import import_image
from bundler.cluster_images.history import history
from bundler.cluster_images.load import load
from bundler.cluster_images.names import full_name
from bundler.cluster_images.save import archive, save
from bundler.cluster_images.store import ClusterImages
from bundler.engine import Engine
from bundler.file_store import FileStore
from bundler.files import collect
from bundler.image import commands_of, read_source
from bundler.kubefile.upstream import Upstream
from bundler.kubefile.upstream import load as docker_load
from bundler.verbs import build as verb
from installer_stub.bundle.cluster_files import cluster_manifest
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.bundler.cluster_images.made import LABELS, Made, file, folder, hard, layer, saved, soft
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


def drop(engine: Engine, *names: str) -> None:
    """Take what a test made out of docker, the image with its last name."""
    for name in names:
        remove_image(engine, name)


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
        drop(engine, TAG)


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
        drop(engine, tag)


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed: apt-get install skopeo")
def test_skopeo_reads_what_was_saved_and_we_what_it_writes(engine: Engine, images: ClusterImages, tmp_path: Path) -> None:
    tag = "airseal.internal/image/contract-skopeo:1"
    put(engine, IMAGES["plain"], tag)
    try:
        info = engine.image(tag)
        assert info is not None
        images.put(full_name("contract-skopeo:1"), import_image(engine, images, info, (), Remembering()))
    finally:
        drop(engine, tag)
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


def test_a_build_stands_on_an_image_that_docker_has_never_seen(engine: Engine, images: ClusterImages, tmp_path: Path) -> None:
    base, child = "airseal.internal/image/contract-base:1", "airseal.internal/image/contract-child:1"
    put(engine, IMAGES["plain"], base)
    info = engine.image(base)
    assert info is not None
    images.put(full_name("contract-base:1"), import_image(engine, images, info, (Origin("kubernetes:v1.36.3", 1), Origin("contract-base:1", 3)), Remembering()))
    engine.client.api.remove_image(base)
    context = tmp_path / "context"
    context.mkdir()
    (context / "new.yaml").write_text("new: yes\n")
    (context / "Kubefile").write_text("FROM contract-base:1\nCOPY new.yaml /cluster/manifests/new.yaml\nLABEL vendor=child\nCMD kubectl apply -f manifests/new.yaml\n")
    parser = ArgumentParser()
    verb.define(parser)
    options = verb.parse_build(parser.parse_args(["-t", "contract-child:1", "-o", str(tmp_path / "x.run"), "--cache", str(images.cache), str(context)]))
    reporter = Remembering()
    upstream = Upstream(engine, images.cache, Mirrors(), DockerCredentials())
    try:
        made = cluster_image(options, read_source(context), upstream, reporter)
        keep_made(engine, options, made.origins, reporter)
        digest = images.find("contract-base:1").descriptor.digest
        assert f"FROM contract-base:1 is {digest} (a cluster image of this machine's store; build or load it to renew it)" in reporter.steps
        assert [command.text() for command in commands_of(made.image)] == ["kubectl apply -f manifests/", "kubectl apply -f manifests/new.yaml"]
        assert made.image.labels["internal.airseal.images"] == LABELS["internal.airseal.images"]
        image = images.find("contract-child:1")
        assert image.built
        contents = contents_for(images.blobs, image.descriptor, "x")
        assert str(contents.manifest.config.digest) == made.image.id
        lower = contents_for(images.blobs, images.find("contract-base:1").descriptor, "x").manifest.layers
        assert contents.manifest.layers[:3] == lower, "the base's layers are those that it travels with"
        steps = history(images, image, contents)
        assert [(step.origin, step.base, step.files) for step in steps] == [
            ("kubernetes:v1.36.3", True, 3), ("contract-base:1", True, 2), ("contract-base:1", True, 1), ("contract-child:1", False, 1)
        ]  # fmt: skip
        assert "new.yaml" in steps[-1].line
        with counted_saves() as asked:
            keep_made(engine, options, made.origins, reporter)
        assert asked == [], "a repeated build pays nothing"
    finally:
        drop(engine, child, info.id)


@contextmanager
def counted_saves() -> Iterator[list[str]]:
    """Count what docker is asked to save."""
    asked: list[str] = []
    real = Engine.save

    def save(self: Engine, image: str) -> AbstractContextManager[Iterator[bytes]]:
        asked.append(image)
        return real(self, image)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "save", save)
        yield asked
