"""Names of cluster images: only for what is whole, replaced as a whole, safe for two processes, and found as a person writes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bundler.cluster_images.names import full_name, short_name
from bundler.cluster_images.store import ClusterImages
from bundler.errors import ClusterImageIncomplete, ClusterImageUnknown, UsageError
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from tests.unit.registry_snapshot.images import AMD64, ARM64, make_image, make_index, noise, put

PULLED = "registry.example/team/base:1"


@pytest.fixture
def images(tmp_path: Path) -> ClusterImages:
    return ClusterImages(tmp_path / "cache")


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("shop:1.4.0", "airseal.internal/image/shop:1.4.0"),
        ("shop", "airseal.internal/image/shop:latest"),
        ("registry.example/shop:1", "registry.example/shop:1"),
        ("team/shop:1", "docker.io/team/shop:1"),
        ("docker.io/library/shop:1", "docker.io/library/shop:1"),
        (f"shop@sha256:{'a' * 64}", f"airseal.internal/image/shop@sha256:{'a' * 64}"),
    ],
)
def test_a_word_without_a_slash_is_ours(text: str, full: str) -> None:
    assert str(full_name(text)) == full
    assert full_name(short_name(full_name(text))) == full_name(text)


@pytest.mark.parametrize("text", ["", "Shop:1", "a b", "../shop:1", "shop:1@sha256:zz", "x" * 300])
def test_what_is_no_name_is_refused(images: ClusterImages, text: str) -> None:
    with pytest.raises(UsageError):
        images.find(text)


def test_what_was_put_is_found_by_name_and_by_digest(images: ClusterImages) -> None:
    made = make_image(images.blobs, "base").descriptor
    images.put(Reference.parse(PULLED), made)
    images.put(full_name("shop:1.4.0"), made)
    assert [image.name for image in images.all()] == ["shop:1.4.0", PULLED]
    for name in (PULLED, f"registry.example/team/base@{made.digest}", f"{PULLED}@{made.digest}"):
        assert images.find(name).descriptor == made
    assert images.find("shop:1.4.0").time > 0
    other = Digest.of(b"other")
    for name in (f"{PULLED}@{other}", f"registry.example/team/base@{other}", "shop:1.4.1", "shop", "library/shop:1.4.0"):
        with pytest.raises(ClusterImageUnknown) as caught:
            images.find(name)
        assert "there are shop:1.4.0, registry.example/team/base:1" in caught.value.remedy
        assert f"airseal pull {name}" in caught.value.remedy


def test_a_name_moves_and_another_store_object_sees_it(images: ClusterImages) -> None:
    first, second = make_image(images.blobs, "one").descriptor, make_image(images.blobs, "two").descriptor
    images.put(Reference.parse(f"{PULLED}@{first.digest}"), first)
    images.put(Reference.parse(PULLED), second)
    (found,) = ClusterImages(images.cache).all()
    assert (found.descriptor, str(found.reference)) == (second, PULLED)


def test_what_is_not_whole_gets_no_name(images: ClusterImages) -> None:
    amd, arm = make_image(images.blobs, "amd", AMD64), make_image(images.blobs, "arm", ARM64)
    index = make_index(images.blobs, {AMD64: amd, ARM64: arm})
    images.put(Reference.parse(PULLED), index)
    layer = images.blobs.path(arm.layers[0].digest)
    whole = layer.read_bytes()
    for damage in (lambda: layer.write_bytes(whole[:-1]), layer.unlink):
        damage()
        with pytest.raises(ClusterImageIncomplete, match=r"not whole in .*: sha256:" + arm.layers[0].digest.encoded):
            images.put(full_name("shop:1"), index)
    assert [image.name for image in images.all()] == [PULLED]
    images.put(full_name("shop:1"), amd.descriptor)
    with pytest.raises(ClusterImageIncomplete, match="neither a manifest nor an index"):
        images.put(full_name("shop:2"), put(images.blobs, "application/octet-stream", b"x"))


def test_removing_says_what_nobody_names_any_more(images: ClusterImages) -> None:
    base = make_image(images.blobs, "base", layer_sizes=(1000,))
    child = make_image(images.blobs, "base", ARM64, layer_sizes=(1000, 500))
    images.put(full_name("base:1"), base.descriptor)
    images.put(full_name("base:again"), base.descriptor)
    images.put(full_name("child:1"), child.descriptor)
    assert images.remove("base:again").unnamed == ()
    gone = images.remove("base:1")
    assert [part.digest for part in gone.unnamed] == [base.descriptor.digest, base.config.digest, *(layer.digest for layer in base.layers)]
    assert gone.size == base.descriptor.size + base.config.size + 1000
    assert [image.name for image in images.all()] == ["child:1"]
    assert base.layers[0].digest in images.blobs, "blobs are a prune's business"
    with pytest.raises(ClusterImageUnknown):
        images.remove("base:1")
    images.blobs.path(child.layers[0].digest).unlink()
    assert images.remove("child:1").unnamed == ()
    with pytest.raises(ClusterImageUnknown, match="there is no cluster image none:1") as caught:
        ClusterImages(images.cache / "nowhere").remove("none:1")
    assert caught.value.remedy.startswith("there is none;")


def test_files_of_others_are_left_out(images: ClusterImages) -> None:
    made = make_image(images.blobs, "base").descriptor
    images.put(full_name("shop:1"), made)
    directory = images.cache / "cluster-images"
    (mine,) = directory.iterdir()
    (directory / f"{'0' * 64}.json").write_bytes(mine.read_bytes())  # under another's name
    for name, text in {"a": "{", "b": "[]", "c": "{}", "d": "[" * 100_000, "e": "x" * 100_000}.items():
        (directory / f"{name}.json").write_text(text)
    assert [image.name for image in images.all()] == ["shop:1"]


_WRITER = """
import sys
from pathlib import Path
from bundler.cluster_images.names import full_name
from bundler.cluster_images.store import ClusterImages
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.descriptor import Descriptor
images = ClusterImages(Path(sys.argv[1]))
made = Descriptor("application/vnd.oci.image.manifest.v1+json", Digest.parse(sys.argv[2]), int(sys.argv[3]))
for number in range(50):
    images.put(full_name("shared:1"), made)
    images.put(full_name(f"own:{sys.argv[4]}-{number}"), made)
"""


def test_two_processes_write_at_once(images: ClusterImages) -> None:
    made = [make_image(images.blobs, name, layer_sizes=(len(noise(name, 100)),)).descriptor for name in ("one", "two")]
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(images.cache), str(each.digest), str(each.size), str(number)]) for number, each in enumerate(made)]
    while any(writer.poll() is None for writer in writers):
        images.all()
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(images.all()) == 101
    assert images.find("shared:1").descriptor in made
    assert [path.name for path in (images.cache / "cluster-images").iterdir() if path.suffix != ".json"] == []
