"""What docker saves becomes an image of the store: the same config, layers compressed once, and never another's in their place."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundler.bases import tar_limits
from bundler.cluster_images import docker_archive
from bundler.cluster_images.compress import gzipped
from bundler.cluster_images.contents import Origin, contents_for, read_contents
from bundler.cluster_images.from_docker import import_image
from bundler.cluster_images.layers import LayerMemory, content_of
from bundler.cluster_images.names import full_name
from bundler.cluster_images.store import ClusterImages
from bundler.engine import ImageInfo
from bundler.errors import ArchiveInvalid, ClusterImageInvalid, DockerError
from registry_snapshot.errors import StoreError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from tests.unit.bundler.cluster_images.made import (
    LABELS,
    config_of,
    file,
    folder,
    layer,
    packed,
    pieces,
    put_image,
    saved,
    soft,
)
from tests.unit.bundler.reporter import Remembering

LAYERS = [layer(folder("cluster"), file("cluster/one", "1" * 9000)), layer(file("cluster/two", "2")), layer()]


class Docker:
    """An engine that saves one archive, and counts how often."""

    def __init__(self, archive: bytes) -> None:
        self.archive, self.asked = archive, 0

    @contextmanager
    def save(self, image: str) -> Iterator[Iterator[bytes]]:
        del image
        self.asked += 1
        yield pieces(self.archive)


@pytest.fixture
def images(tmp_path: Path) -> ClusterImages:
    return ClusterImages(tmp_path / "cache")


def info(layers: list[bytes] = LAYERS) -> ImageInfo:
    return ImageInfo(str(Digest.of(config_of(layers))), LABELS, {}, "linux/amd64", 1)


def taken(images: ClusterImages, archive: bytes) -> Descriptor:
    return import_image(Docker(archive), images, info(), (Origin("base:1", 1),), Remembering())  # type: ignore[arg-type]


@pytest.mark.parametrize("style", ["old", "new", "gzip"])
def test_its_id_stays_and_its_layers_are_what_docker_has(images: ClusterImages, style: str) -> None:
    layers = [*LAYERS, LAYERS[1]]
    docker = Docker(saved(layers, style=style))
    made = import_image(docker, images, info(layers), (Origin("base:1", 1), Origin("shop:1", 4)), Remembering())  # type: ignore[arg-type]
    images.put(full_name("shop:1"), made)
    (found,) = read_contents(images.blobs, made)
    assert str(found.manifest.config.digest) == info(layers).id
    assert images.blobs.read(found.manifest.config.digest) == config_of(layers)
    assert [content_of(each, images.blobs) for each in found.manifest.layers] == [Digest.of(each) for each in layers]
    assert {each.media_type for each in found.manifest.layers} == {OCI_LAYER_GZIP}
    assert found.origins == (Origin("base:1", 1), Origin("shop:1", 4))
    assert dict(found.config.labels) == LABELS
    assert import_image(docker, images, info(layers), (), Remembering()) == made  # type: ignore[arg-type]
    assert docker.asked == 1, "what the store has is not asked for again"


def test_an_image_that_docker_calls_otherwise_is_not_asked_for_again(images: ClusterImages) -> None:
    """Images in containerd: its ID is no config's digest. It stays known where the name is given again, and goes with another image."""
    docker, called = Docker(saved(LAYERS)), ImageInfo("sha256:" + "9" * 64, LABELS, {}, "linux/amd64", 1)
    made = import_image(docker, images, called, (), Remembering())  # type: ignore[arg-type]
    images.put(full_name("shop:1"), made, docker=called.id)
    images.put(full_name("shop:1"), made, docker="sha256:" + "8" * 64)
    assert import_image(docker, images, called, (), Remembering()) == made  # type: ignore[arg-type]
    assert docker.asked == 1
    images.is_in_docker(images.find("shop:1"), called.id)
    assert images.find("shop:1").docker == ("sha256:" + "8" * 64, called.id)
    before = images.find("shop:1")
    images.put(full_name("shop:1"), put_image(images.blobs, LAYERS[:1]))
    assert images.find("shop:1").docker == ()
    images.is_in_docker(before, called.id)
    assert images.find("shop:1").docker == (), "of another image nothing is said"


def test_what_the_store_lost_is_taken_again(images: ClusterImages) -> None:
    docker = Docker(saved(LAYERS))
    made = import_image(docker, images, info(), (), Remembering())  # type: ignore[arg-type]
    images.put(full_name("shop:1"), made)
    for each in contents_for(images.blobs, made, "x").manifest.layers:
        images.blobs.path(each.digest).unlink()
        assert import_image(docker, images, info(), (), Remembering()) == made  # type: ignore[arg-type]
    assert docker.asked == 4


def test_a_known_layer_is_not_compressed_again(images: ClusterImages, monkeypatch: pytest.MonkeyPatch) -> None:
    first = taken(images, saved(LAYERS))
    monkeypatch.setattr(docker_archive, "gzipped", None)
    assert taken(images, saved(LAYERS)) == first


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_registrys_layer_stays_the_registrys(images: ClusterImages, compression: str) -> None:
    ours = taken(images, saved(LAYERS))
    pulled = put_image(images.blobs, LAYERS[:1], compression, labels={"of": "a registry"})
    images.put(full_name("registry.example/base:1"), pulled)
    theirs = contents_for(images.blobs, pulled, "x").manifest.layers[0]
    again = contents_for(images.blobs, taken(images, saved(LAYERS)), "x").manifest
    assert again.layers[0].digest == theirs.digest
    assert again.layers[0].media_type == {"gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}[compression]
    assert again.layers[1:] == contents_for(images.blobs, ours, "x").manifest.layers[1:]


def test_an_image_that_lies_about_its_layers_takes_nobodys_place(images: ClusterImages) -> None:
    evil = layer(folder("cluster"), file("cluster/one", "evil"))
    pulled = put_image(images.blobs, [evil], labels={})
    lying = contents_for(images.blobs, pulled, "x").manifest.layers[0]
    memory = LayerMemory(images.cache, images.blobs)
    memory.claim(Digest.of(LAYERS[0]), lying)
    made = contents_for(images.blobs, taken(images, saved(LAYERS)), "x")
    assert lying.digest not in {each.digest for each in made.manifest.layers}
    memory.claim(Digest.of(LAYERS[0]), lying)
    assert memory.known(Digest.of(LAYERS[0])) == made.manifest.layers[0], "nor that of one that was seen before"


def test_plain_layers_do_not_take_the_place_of_packed_ones(images: ClusterImages) -> None:
    images.put(full_name("loaded:1"), put_image(images.blobs, LAYERS, "", labels={}))
    made = contents_for(images.blobs, taken(images, saved(LAYERS)), "x")
    assert {each.media_type for each in made.manifest.layers} == {OCI_LAYER_GZIP}


def test_gzip_is_the_same_whatever_comes_in_pieces() -> None:
    data = bytes(range(256)) * 40_000
    packed_once = b"".join(gzipped(io.BytesIO(data)))
    assert packed_once == b"".join(gzipped(io.BytesIO(data)))
    assert gzip.decompress(packed_once) == data
    assert gzip.decompress(b"".join(gzipped(io.BytesIO(b"")))) == b""
    # zlib 1.2.13; another one may give other bytes, and then only what is new changes.
    assert packed_once[:10] == b"\x1f\x8b\x08\0\0\0\0\0\x04\x03"


GOOD = saved(LAYERS)


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (b"", "torn, or no archive"),
        (b"x" * 5000, "torn, or no archive"),
        (GOOD[: len(GOOD) // 2 // 512 * 512], "torn"),
        (layer(file("VERSION", "1.0")), "no manifest.json"),
        (GOOD[:6000], "torn"),
        (GOOD.replace(b"1" * 600, b"0" * 600, 1), "layer 1 is .* it was altered"),
        (GOOD.replace(b'"vendor": "shop"', b'"vendor": "evil"', 1), "it was altered"),
        (layer(file("manifest.json", "[1]")), "cannot be read"),
        (layer(file("manifest.json", '[{"Config": 1}]')), "cannot be read"),
        (layer(file("manifest.json", "[" * 100_000)), "cannot be read"),
        (layer(file("manifest.json", '[{"Config": "c.json", "Layers": []}]')), "has none"),
        (layer(file("c.json", config_of(LAYERS)), file("manifest.json", '[{"Config": "c.json", "Layers": ["x", "x", "x"]}]')), "has none that could be read"),
        (layer(file("c.json", config_of(LAYERS)), file("manifest.json", '[{"Config": "c.json", "Layers": []}]')), "0 layers of an image of 3"),
        (layer(file("x/layer.tar", packed(LAYERS[0], "gzip")[:-9]), file("c.json", config_of(LAYERS[:1])), file("manifest.json", '[{"Config": "c.json", "Layers": ["x/layer.tar"]}]')), "has none that could be read"),
        (layer(file("c.json", "{" + " " * (5 << 20) + "}")), "larger than any image's documents"),
    ],
)
def test_torn_altered_and_foreign_archives_are_named(images: ClusterImages, archive: bytes, words: str) -> None:
    with pytest.raises(ArchiveInvalid, match=words):
        taken(images, archive)


def test_links_in_a_ring_end(images: ClusterImages) -> None:
    archive = layer(soft("a", "b"), soft("b", "a"), file("c.json", config_of(LAYERS[:1])), file("manifest.json", '[{"Config": "c.json", "Layers": ["a"]}]'))
    with pytest.raises(ArchiveInvalid, match="has none that could be read"):
        taken(images, archive)


@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"rootfs": {"diff_ids": ["x"]}}', b'{"config": [1]}', b'{"config": {"Labels": [1]}}', b'{"history": [1]}'])
def test_configs_that_cannot_be_read(images: ClusterImages, raw: bytes) -> None:
    archive = layer(file("c.json", raw), file("manifest.json", '[{"Config": "c.json", "Layers": []}]'))
    with pytest.raises((ArchiveInvalid, ClusterImageInvalid)):
        taken(images, archive)


def test_an_archive_has_a_bound(images: ClusterImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_archive, "MOST_ENTRIES", 5)
    with pytest.raises(ArchiveInvalid, match="more than 5 entries"):
        taken(images, GOOD)
    monkeypatch.setattr(docker_archive, "MOST_ENTRIES", 500)
    monkeypatch.setattr(tar_limits, "MAX_EXTENSION", 100)
    with pytest.raises(ArchiveInvalid, match="torn, or no archive"):
        taken(images, layer(file("n" * 200, "x")))


def test_a_full_disk_is_named(images: ClusterImages, monkeypatch: pytest.MonkeyPatch) -> None:
    from registry_snapshot.store import disk

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "_write", full)
    with pytest.raises(StoreError, match="no space left"):
        taken(images, GOOD)


def test_docker_that_saves_another_number(images: ClusterImages) -> None:
    with pytest.raises(DockerError, match="saved 0 images"):
        taken(images, layer(file("manifest.json", "[]")))
