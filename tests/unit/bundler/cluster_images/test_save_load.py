"""An image goes into one file and comes out of it, the same bytes each way; what is torn, altered or hostile is named and gets no name."""

from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path

import pytest

from bundler.cache.builds import in_use
from bundler.cluster_images.contents import ORIGINS
from bundler.cluster_images.load import load
from bundler.cluster_images.names import full_name
from bundler.cluster_images.save import save
from bundler.cluster_images.store import ClusterImages
from bundler.errors import ArchiveInvalid, ClusterImageIncomplete, ClusterImageInvalid
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.layout_index import IMAGE_NAME, REF_NAME
from tests.unit.bundler.cluster_images.made import config_of, file, folder, layer, put_image, saved
from tests.unit.bundler.reporter import Remembering
from tests.unit.registry_snapshot.images import AMD64, ARM64, Image, make_image, make_index

LAYERS = [layer(folder("cluster"), file("cluster/one", "1" * 9000)), layer(file("cluster/two", "2"))]
NAME = "airseal.internal/image/shop:1.4.0"


@pytest.fixture
def images(tmp_path: Path) -> ClusterImages:
    """Return a store with one image, built with an annotation."""
    store = ClusterImages(tmp_path / "cache")
    store.put(full_name("shop:1.4.0"), put_image(store.blobs, LAYERS, annotations={ORIGINS: '[["base:1",1],["shop:1.4.0",2]]'}))
    return store


@pytest.fixture
def other(tmp_path: Path) -> ClusterImages:
    """Return an empty one."""
    (tmp_path / "other").mkdir()
    return ClusterImages(tmp_path / "other")


def loaded(images: ClusterImages, path: Path, name: Reference | None = None) -> list[str]:
    with in_use(images.cache):
        for reference, descriptor in load(images, path, Remembering(), name):
            images.put(reference, descriptor)
    return [str(image.reference) for image in images.all()]


def entries(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {entry.name: source.read() for entry in tar if (source := tar.extractfile(entry)) is not None}


def written(path: Path, parts: dict[str, bytes]) -> Path:
    path.write_bytes(layer(*(file(name, data) for name, data in parts.items())))
    return path


def test_the_same_image_is_the_same_file_and_comes_out_whole(images: ClusterImages, other: ClusterImages, tmp_path: Path) -> None:
    image = images.find("shop:1.4.0")
    for name in ("a.tar", "b.tar"):
        assert save(images, image, tmp_path / name) == (tmp_path / name).stat().st_size
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert loaded(other, tmp_path / "a.tar") == [NAME]
    assert other.find("shop:1.4.0").descriptor == image.descriptor
    save(other, other.find("shop:1.4.0"), tmp_path / "c.tar")
    assert (tmp_path / "c.tar").read_bytes() == (tmp_path / "a.tar").read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_others_look_for_is_in_it(images: ClusterImages, tmp_path: Path) -> None:
    image = images.find("shop:1.4.0")
    save(images, image, tmp_path / "a.tar")
    found = entries(tmp_path / "a.tar")
    assert found["oci-layout"] == b'{"imageLayoutVersion":"1.0.0"}'
    (listed,) = json.loads(found["index.json"])["manifests"]
    assert (listed["digest"], listed["annotations"][REF_NAME]) == (str(image.descriptor.digest), NAME)
    (docker,) = json.loads(found["manifest.json"])
    assert docker["RepoTags"] == [NAME]
    assert found[docker["Config"]] == config_of(LAYERS)
    assert [gzip.decompress(found[name]) for name in docker["Layers"]] == LAYERS
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert {(entry.mtime, entry.uid, entry.uname, entry.mode) for entry in tar} == {(0, 0, "", 0o644)}


def test_an_image_for_two_platforms(images: ClusterImages, other: ClusterImages, tmp_path: Path) -> None:
    made = {platform: put_image(images.blobs, LAYERS, architecture=platform.architecture) for platform in (AMD64, ARM64)}
    index = make_index(images.blobs, {platform: Image(each, each, ()) for platform, each in made.items()})
    images.put(full_name("both:1"), index)
    save(images, images.find("both:1"), tmp_path / "a.tar")
    assert loaded(other, tmp_path / "a.tar") == ["airseal.internal/image/both:1"]
    assert other.find("both:1").descriptor == index
    # Without the other platform's, as docker's containerd store and skopeo leave it out, the one that is there is the image.
    left = {name: data for name, data in entries(tmp_path / "a.tar").items() if not name.endswith(made[ARM64].digest.encoded)}
    third = ClusterImages(tmp_path / "third")
    third.cache.mkdir()
    assert loaded(third, written(tmp_path / "b.tar", left)) == ["airseal.internal/image/both:1"]
    assert third.find("both:1").descriptor == made[AMD64]


@pytest.mark.parametrize("style", ["old", "new", "gzip"])
def test_dockers_own_archives(images: ClusterImages, other: ClusterImages, tmp_path: Path, style: str) -> None:
    (tmp_path / "d.tar").write_bytes(saved(LAYERS, [NAME, "team/shop:1"], style=style))
    assert loaded(other, tmp_path / "d.tar") == [NAME, "docker.io/team/shop:1"]
    assert other.blobs.read(Digest.of(config_of(LAYERS))) == config_of(LAYERS)
    (tmp_path / "d.tar").write_bytes(saved(LAYERS, [], style=style))
    with pytest.raises(ArchiveInvalid, match="without a name") as caught:
        loaded(other, tmp_path / "d.tar")
    assert "--as NAME:TAG" in caught.value.remedy
    assert "airseal.internal/image/mine:1" in loaded(other, tmp_path / "d.tar", full_name("mine:1"))


@pytest.mark.parametrize("annotations", [{}, {REF_NAME: "1.4.0"}, {REF_NAME: "shop"}, {IMAGE_NAME: "docker.io/team/shop:1", REF_NAME: "1"}])
def test_layouts_of_others_have_other_names(images: ClusterImages, other: ClusterImages, tmp_path: Path, annotations: dict[str, str]) -> None:
    save(images, images.find("shop:1.4.0"), tmp_path / "a.tar")
    parts = entries(tmp_path / "a.tar")
    value = json.loads(parts["index.json"])
    value["manifests"][0]["annotations"] = annotations
    path = written(tmp_path / "b.tar", {**parts, "index.json": json.dumps(value).encode()})
    if IMAGE_NAME in annotations:
        assert loaded(other, path) == [annotations[IMAGE_NAME]]
        return
    with pytest.raises(ArchiveInvalid, match="without a name"):
        loaded(other, path)
    assert loaded(other, path, full_name("mine:1")) == ["airseal.internal/image/mine:1"]


def test_several_images_of_one_file(images: ClusterImages, other: ClusterImages, tmp_path: Path) -> None:
    one, two = put_image(images.blobs, LAYERS[:1]), put_image(images.blobs, LAYERS)
    save(images, images.find("shop:1.4.0"), tmp_path / "a.tar")
    parts = entries(tmp_path / "a.tar")
    for made in (one, two):
        parts[f"blobs/sha256/{made.digest.encoded}"] = images.blobs.read(made.digest)
    for digest in images.blobs.digests():
        parts[f"blobs/sha256/{digest.encoded}"] = images.blobs.path(digest).read_bytes()
    listed = [{**made.to_json(), "annotations": {REF_NAME: f"a.example/{name}:1"}} for name, made in (("x", one), ("y", two))]
    path = written(tmp_path / "b.tar", {**parts, "index.json": json.dumps({"schemaVersion": 2, "manifests": listed}).encode()})
    assert loaded(other, path) == ["a.example/x:1", "a.example/y:1"]
    with pytest.raises(ArchiveInvalid, match="holds 2 images, and one name was given"):
        loaded(other, path, full_name("mine:1"))


def test_only_what_an_image_needs_is_taken(images: ClusterImages, other: ClusterImages, tmp_path: Path) -> None:
    save(images, images.find("shop:1.4.0"), tmp_path / "a.tar")
    stray = b"nobody needs this"
    loaded(other, written(tmp_path / "b.tar", {**entries(tmp_path / "a.tar"), f"blobs/sha256/{Digest.of(stray).encoded}": stray}))
    assert Digest.of(stray) not in other.blobs


def test_every_truncation_is_named(images: ClusterImages, other: ClusterImages, tmp_path: Path) -> None:
    save(images, images.find("shop:1.4.0"), tmp_path / "a.tar")
    whole = (tmp_path / "a.tar").read_bytes()
    content = len(whole.rstrip(b"\0"))
    for length in (*range(0, content, 512), *range(100, content, 700)):
        (tmp_path / "b.tar").write_bytes(whole[:length])
        with pytest.raises(ArchiveInvalid):
            loaded(other, tmp_path / "b.tar")
    assert other.all() == ()


def test_every_altered_part_is_named(images: ClusterImages, tmp_path: Path) -> None:
    save(images, images.find("shop:1.4.0"), tmp_path / "a.tar")
    parts = entries(tmp_path / "a.tar")
    for name in parts:
        if name.startswith("blobs/"):
            data = parts[name]
            for number, altered in enumerate((data[:-1] + bytes([data[-1] ^ 1]), data[:-1], data + b"x", b"")):
                other = ClusterImages(tmp_path / f"{number}-{name.rpartition('/')[2]}")
                other.cache.mkdir()
                with pytest.raises(ArchiveInvalid):
                    loaded(other, written(tmp_path / "b.tar", {**parts, name: altered}))
                assert other.all() == ()


@pytest.mark.parametrize(
    ("data", "words", "remedy"),
    [
        (b"", "holds neither|torn", ""),
        (b"x" * 5000, "torn, or no tar", "compare its size"),
        (gzip.compress(saved(LAYERS)), "torn, or no tar", "gunzip"),
        (b"\x28\xb5\x2f\xfd" + bytes(4000), "torn, or no tar", "zstd -d"),
        (layer(file("x")), "neither an OCI layout", "docker save"),
        (layer(file("oci-layout", "{}"), file("index.json", "{")), "not JSON", ""),
        (layer(file("oci-layout", "{}"), file("index.json", "[" * 90_000)), "not JSON", ""),
        (layer(file("oci-layout", "{}"), file("index.json", b"{" + b" " * (5 << 20))), "has 5242881 bytes", ""),
        (layer(file("oci-layout", "{}"), file("index.json", '{"schemaVersion": 2, "manifests": []}')), "no image", ""),
        (layer(file("oci-layout", "{}"), file("index.json", json.dumps({"manifests": [{"mediaType": "x", "digest": f"sha256:{'0' * 64}", "size": 5}]}))), "has no sha256:000", ""),
        (layer(file("oci-layout", "{}"), file("index.json", json.dumps({"manifests": [{"mediaType": "x", "digest": "sha256:../../etc", "size": 5}]}))), "is not a digest", ""),
    ],
)
def test_what_is_no_archive_is_named(other: ClusterImages, tmp_path: Path, data: bytes, words: str, remedy: str) -> None:
    (tmp_path / "b.tar").write_bytes(data)
    with pytest.raises((ArchiveInvalid, ClusterImageInvalid, RegistryError), match=words) as caught:
        loaded(other, tmp_path / "b.tar")
    assert remedy in getattr(caught.value, "remedy", "")


def test_a_file_that_is_not_there_and_a_directory(other: ClusterImages, tmp_path: Path) -> None:
    for path in (tmp_path / "none.tar", tmp_path):
        with pytest.raises(ArchiveInvalid, match="cannot be read"):
            loaded(other, path)


def test_a_loop_of_indexes_ends(other: ClusterImages, tmp_path: Path) -> None:
    raw, parts = b'{"schemaVersion": 2, "manifests": []}', {"oci-layout": b"{}"}
    for _ in range(20):
        digest = Digest.of(raw)
        parts[f"blobs/sha256/{digest.encoded}"] = raw
        listed = [{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": str(digest), "size": len(raw), "annotations": {REF_NAME: "a.example/x:1"}}]
        raw = json.dumps({"schemaVersion": 2, "manifests": listed}).encode()
    with pytest.raises(ArchiveInvalid, match="more parts than any image"):
        loaded(other, written(tmp_path / "b.tar", {**parts, "index.json": raw}))


def test_damage_on_the_disk_is_found_while_saving(images: ClusterImages, tmp_path: Path) -> None:
    image = images.find("shop:1.4.0")
    target = tmp_path / "a.tar"
    target.write_bytes(b"before")
    layers = [part for part in images.parts(image) if part.media_type.endswith("gzip")]
    path = images.blobs.path(layers[0].digest)
    path.write_bytes(bytes(layers[0].size))
    with pytest.raises(ClusterImageIncomplete, match="is damaged on this disk"):
        save(images, image, target)
    assert target.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_what_is_no_image_can_travel_too(images: ClusterImages, other: ClusterImages, tmp_path: Path) -> None:
    odd = make_image(images.blobs, "odd").descriptor  # its config speaks of no layers
    images.put(Reference.parse("a.example/odd:1"), odd)
    save(images, images.find("a.example/odd:1"), tmp_path / "a.tar")
    assert loaded(other, tmp_path / "a.tar") == ["a.example/odd:1"]
    assert other.find("a.example/odd:1").descriptor == odd
    assert "manifest.json" not in entries(tmp_path / "a.tar")
