"""FROM an image of the store: on a machine whose docker has never seen it, with everything that it says; and the rule who answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.cluster_images.bases import base_of, origins_of
from bundler.cluster_images.contents import ORIGINS, Origin
from bundler.cluster_images.names import full_name
from bundler.cluster_images.store import ClusterImages
from bundler.engine import ImageInfo
from bundler.errors import ClusterImageIncomplete
from bundler.kubefile.from_images import Fetching, from_images
from bundler.kubefile.parse import parse
from bundler.kubefile.stages import stages_of
from bundler.options import ImageOptions
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from tests.unit.bundler.cluster_images.made import config_of, file, layer, packed, put_image
from tests.unit.bundler.kubefile.test_from_images import image
from tests.unit.bundler.kubefile.test_upstream import Docker
from tests.unit.bundler.reporter import Remembering

AMD = Platform("linux", "amd64")
PULLED = "registry.example/team/base:1"
LAYERS = [layer(file("cluster/one")), layer(file("cluster/two"))]
CONFIG = Digest.of(config_of(LAYERS))


@pytest.fixture
def images(tmp_path: Path) -> ClusterImages:
    store = ClusterImages(tmp_path / "cache")
    made = put_image(store.blobs, LAYERS)
    for name in ("shop:1.4.0", PULLED):
        store.put(full_name(name), made)
    return store


def resolved(docker: Docker, images: ClusterImages, name: str, *, pull: bool = False) -> tuple[str, list[str]]:
    """Return the docker ID that a FROM becomes, and what was said."""
    reporter = Remembering()
    fetching = Fetching(docker, ImageOptions(pull=pull), reporter, None, images)  # type: ignore[arg-type]
    with from_images(fetching, stages_of(parse(f"FROM {name}\n"), {}, AMD), (), AMD) as names:
        found = docker.image(names[name, ""])
    assert found is not None
    assert not any(name.startswith("airseal.internal/from") for name in docker.here), "a name of this build stayed"
    return found.id, reporter.steps


@pytest.mark.parametrize("name", ["shop:1.4.0", "airseal.internal/image/shop:1.4.0", PULLED])
def test_docker_is_given_what_it_never_saw(images: ClusterImages, name: str) -> None:
    docker = Docker()
    identity, said = resolved(docker, images, name)
    assert identity == str(CONFIG)
    assert docker.pulled == []
    parts = [docker.entries[each] for each in (docker.loaded["Config"], *docker.loaded["Layers"])]
    assert parts == [config_of(LAYERS), *(packed(each, "gzip") for each in LAYERS)]
    renew = f"airseal pull {PULLED}" if name == PULLED else "build or load it"
    assert said[-1:] == [f"FROM {name} is {images.find('shop:1.4.0').descriptor.digest} (a cluster image of this machine's store; {renew} to renew it)"]


def test_by_digest_too(images: ClusterImages) -> None:
    digest = images.find(PULLED).descriptor.digest
    assert resolved(Docker(), images, f"registry.example/team/base@{digest}")[0] == str(CONFIG)


def test_what_docker_has_of_the_same_id_is_not_loaded_again(images: ClusterImages) -> None:
    docker = Docker()
    docker.here[str(CONFIG)] = image(CONFIG.encoded)
    assert resolved(docker, images, "shop:1.4.0")[0] == str(CONFIG)
    assert docker.entries == {}


def test_an_engine_that_keeps_images_in_containerd_is_given_it_once(images: ClusterImages) -> None:
    """It calls what it was given by a digest of its own."""

    class Containerd(Docker):
        given = 0

        def load(self, data: Iterator[bytes]) -> Iterator[dict[str, str]]:
            yield from super().load(data)
            type(self).given += 1
            for tag in self.loaded["RepoTags"]:
                self.here[tag] = self.here["sha256:" + "77" * 32] = image("77" * 32)

    docker = Containerd()
    assert [resolved(docker, images, "shop:1.4.0")[0] for _ in range(3)] == ["sha256:" + "77" * 32] * 3
    assert Containerd.given == 1
    base = ImageInfo("sha256:" + "77" * 32, {}, {}, "linux/amd64", 1, layers=tuple(str(Digest.of(each)) for each in LAYERS))
    assert origins_of(images, "shop:1.4.0", base) == (Origin("shop:1.4.0", 2),)


def test_the_stores_name_comes_before_dockers_and_the_registrys(images: ClusterImages) -> None:
    docker = Docker()
    docker.here[PULLED] = image("dddd")
    docker.there[PULLED] = image("eeee")
    assert resolved(docker, images, PULLED)[0] == str(CONFIG)
    assert docker.pulled == []
    # --pull asks the registry, where there is one that could answer.
    assert resolved(docker, images, PULLED, pull=True)[0] == "sha256:eeee"
    assert docker.pulled == [(PULLED, "linux/amd64")]
    assert resolved(docker, images, "shop:1.4.0", pull=True)[0] == str(CONFIG)


def test_a_name_that_the_store_has_not_is_the_registrys_business(images: ClusterImages) -> None:
    docker = Docker()
    assert resolved(docker, images, "elsewhere.example/x:1")[0] == "sha256:cccc"
    docker.there["shop:1.4.1"] = image("ffff")
    assert resolved(docker, images, "shop:1.4.1")[0] == "sha256:ffff"


def test_another_platforms_is_not_taken_and_a_torn_one_is_no_reason_to_ask_others(images: ClusterImages) -> None:
    assert base_of(images, PULLED, Platform("linux", "arm64")) is None
    assert base_of(images, "0" * 64, AMD) is None
    images.put(Reference.parse("docker.io/library/hub:1"), images.find(PULLED).descriptor)
    assert base_of(images, "hub:1", AMD) is not None
    base = base_of(images, PULLED, AMD)
    assert base is not None
    images.blobs.path(base.contents.manifest.layers[1].digest).unlink()
    with pytest.raises(ClusterImageIncomplete):
        base_of(images, PULLED, AMD)


def test_layers_are_whose_they_are(images: ClusterImages) -> None:
    def info(layers: list[bytes]) -> ImageInfo:
        return ImageInfo(str(Digest.of(config_of(layers))), {}, {}, "linux/amd64", 1, layers=tuple(str(Digest.of(each)) for each in layers))

    assert origins_of(images, "scratch", None) == ()
    assert origins_of(images, "kubernetes:v1.36.3", info(LAYERS[:1])) == (Origin("kubernetes:v1.36.3", 1),)
    assert origins_of(images, "shop:1.4.0", info(LAYERS)) == (Origin("shop:1.4.0", 2),)
    more = [*LAYERS, layer(file("cluster/three"))]
    told = put_image(images.blobs, more, annotations={ORIGINS: '[["kubernetes:v1.36.3",1],["child:1",3]]'})
    images.put(full_name("child:1"), told)
    assert origins_of(images, "child:1", info(more)) == (Origin("kubernetes:v1.36.3", 1), Origin("child:1", 3))
