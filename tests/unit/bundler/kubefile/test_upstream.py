"""FROM through mirrors and authorities of the build: fetched by us from a real registry on loopback, handed to docker as an archive."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bundler.cluster_images.contents import contents_for
from bundler.cluster_images.layers import LayerMemory
from bundler.errors import DockerError, KubefileError
from bundler.kubefile.upstream import Upstream
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.bundler.cluster_images.made import file, layer, put_image
from tests.unit.bundler.kubefile.test_from_images import FakeEngine, image, resolved
from tests.unit.registry_snapshot.images import AMD64, ARM64, Image, make_image, make_index, put, put_json
from tests.unit.registry_snapshot.upstream_fake import FakeUpstream

NAME = "quay.io/team/base:1"


class Docker(FakeEngine):
    """An engine that loads archives: the names and bytes that came, and what it answers."""

    def __init__(self) -> None:
        super().__init__({}, {"elsewhere.example/x:1": image("cccc")})
        self.entries: dict[str, bytes] = {}
        self.answer: dict[str, str] = {"stream": "Loaded image\n"}
        self.client = SimpleNamespace(api=SimpleNamespace(load_image=self.load))

    def load(self, data: Iterator[bytes]) -> Iterator[dict[str, str]]:
        with tarfile.open(fileobj=io.BytesIO(b"".join(data))) as tar:
            for entry in tar:
                source = tar.extractfile(entry)
                self.entries[entry.name] = source.read() if source else b""
        (described,) = json.loads(self.entries["manifest.json"])
        for tag in described["RepoTags"]:
            self.here[tag] = image(described["Config"].removesuffix(".json"))
        yield self.answer

    @property
    def loaded(self) -> dict[str, Any]:
        (described,) = json.loads(self.entries["manifest.json"])
        return dict(described)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[FakeUpstream]:
    with FakeUpstream(tmp_path / "upstream") as server:
        yield server


@pytest.fixture
def docker() -> Docker:
    return Docker()


@pytest.fixture
def upstream(registry: FakeUpstream, docker: Docker, tmp_path: Path) -> Upstream:
    mirrors = Mirrors(registries=(("quay.io", registry.base_for("quay.io")),))
    return Upstream(docker, tmp_path / "cache", mirrors, DockerCredentials())  # type: ignore[arg-type]


def test_an_image_of_a_mirrored_registry_is_fetched_by_us_for_the_platform_and_loaded_under_its_name(
    registry: FakeUpstream, docker: Docker, upstream: Upstream
) -> None:
    made = {platform: make_image(registry.blobs, "base", platform, layer_sizes=(200_000, 700, 0)) for platform in (AMD64, ARM64)}
    index = make_index(registry.blobs, made)
    registry.tag(NAME, index)
    names, reporter = resolved(docker, f"FROM {NAME}\n", upstream=upstream)
    assert docker.pulled == []
    assert names == {(NAME, ""): f"airseal.internal/from:{made[AMD64].config.digest.encoded[:12]}"}
    assert docker.loaded["RepoTags"] == [NAME]
    parts = [docker.entries[name] for name in (docker.loaded["Config"], *docker.loaded["Layers"])]
    wanted = [made[AMD64].config, *made[AMD64].layers]
    assert parts == [registry.blobs.path(part.digest).read_bytes() for part in wanted]
    assert reporter.steps[-1] == f"FROM {NAME} is {index.digest} (fetched)"
    assert NAME in docker.here, "the next build finds it"


def test_a_digest_needs_no_tag_and_what_nobody_speaks_of_is_dockers_business(registry: FakeUpstream, docker: Docker, upstream: Upstream) -> None:
    made = make_image(registry.blobs, "base", docker=True)
    registry.tag(NAME, made.descriptor)
    resolved(docker, f"FROM quay.io/team/base@{made.descriptor.digest}\nCOPY --from=elsewhere.example/x:1 /a /b\n", upstream=upstream)
    assert docker.loaded["RepoTags"][0].startswith(f"airseal.internal/from:{made.descriptor.digest.encoded[:12]}-")
    assert docker.pulled == [("elsewhere.example/x:1", "linux/amd64")]


@pytest.mark.parametrize(
    ("mirrors", "name", "ours"),
    [
        (Mirrors(), "busybox", False),
        (Mirrors(ca_files=(Path("root.pem"),)), "busybox", True),
        (Mirrors(registries=(("docker.io", "https://m.example"),)), "busybox:1", True),
        (Mirrors(registries=(("docker.io", "https://m.example"),)), "quay.io/x/y", False),
        (Mirrors(proxies=(("quay.io", "direct"),)), "quay.io/x/y", True),
        (Mirrors(downloads=(("https://dl.k8s.io", "https://m.example"),)), "registry.k8s.io/pause:3.10", False),
    ],
)
def test_what_a_mirrors_file_speaks_of(mirrors: Mirrors, name: str, *, ours: bool) -> None:
    assert Upstream(None, Path(), mirrors, DockerCredentials()).speaks_of(name) is ours  # type: ignore[arg-type]


def test_what_cannot_be_had_is_said_with_its_line(registry: FakeUpstream, docker: Docker, upstream: Upstream) -> None:
    chart = put_json(registry.blobs, "application/vnd.cncf.helm.config.v1+json", {})
    layer = put(registry.blobs, media_types.OCI_LAYER_GZIP, b"chart")
    value = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": chart.to_json(), "layers": [layer.to_json()]}
    registry.tag("quay.io/team/chart:1", put_json(registry.blobs, media_types.OCI_MANIFEST, value))
    registry.tag("quay.io/team/arm:1", make_index(registry.blobs, {ARM64: make_image(registry.blobs, "arm", ARM64)}))
    registry.tag(NAME, make_image(registry.blobs, "base").descriptor)
    docker.answer = {"error": "invalid diffID for layer 0"}
    for name, why in {"quay.io/team/none:1": "404", "quay.io/team/chart:1": "is no container image", "quay.io/team/arm:1": "nothing for linux/amd64", NAME: "invalid diffID"}.items():
        with pytest.raises(KubefileError, match=rf"(?s)Kubefile:2: .*{why}"):
            resolved(docker, f"\nFROM {name}\n", upstream=upstream)


def test_an_image_that_docker_has_is_not_fetched_again_unless_it_is_wished(registry: FakeUpstream, docker: Docker, upstream: Upstream) -> None:
    registry.tag(NAME, make_image(registry.blobs, "base").descriptor)
    for pull, asked in ((False, True), (False, False), (True, True)):
        registry.requests.clear()
        resolved(docker, f"FROM {NAME}\n", pull=pull, upstream=upstream)
        assert bool(registry.requests) is asked


def test_an_engine_that_refuses_the_request_is_heard(docker: Docker, upstream: Upstream, registry: FakeUpstream) -> None:
    registry.tag(NAME, make_image(registry.blobs, "base").descriptor)
    docker.answer = {"message": "no space left on device"}
    with pytest.raises(DockerError, match="no space left"):
        upstream.give(NAME, Platform("linux", "amd64"), "x:1", print)


def test_a_frontend_comes_as_other_images_do_and_once(registry: FakeUpstream, docker: Docker, upstream: Upstream) -> None:
    registry.tag("quay.io/team/frontend:1", make_image(registry.blobs, "frontend").descriptor)
    for asked in (True, False):
        registry.requests.clear()
        _, reporter = resolved(docker, "# syntax=quay.io/team/frontend:1 and=words\nFROM elsewhere.example/x:1\n", upstream=upstream)
        assert bool(registry.requests) is asked
        assert ("quay.io/team/frontend:1: fetched as --mirrors and --ca say" in reporter.steps) is asked
    assert "quay.io/team/frontend:1" in docker.here


def test_a_layer_of_a_mirrored_base_stays_the_registrys(docker: Docker, upstream: Upstream, registry: FakeUpstream) -> None:
    made = put_image(registry.blobs, layers := [layer(file("cluster/x"))])
    registry.tag(NAME, make_index(registry.blobs, {AMD64: Image(made, made, ()), ARM64: make_image(registry.blobs, "arm", ARM64)}))
    resolved(docker, f"FROM {NAME}\n", upstream=upstream)
    blobs = DiskBlobStore(upstream.cache / "store")
    known = LayerMemory(upstream.cache, blobs).known(Digest.of(layers[0]))
    assert known == contents_for(registry.blobs, made, "x").manifest.layers[0]


def test_what_a_mirror_does_not_have_docker_may_have_a_way_to(docker: Docker, upstream: Upstream) -> None:
    _, reporter = resolved(docker, "# syntax=quay.io/team/none:1\nFROM elsewhere.example/x:1\n", upstream=upstream)
    assert any(step.startswith("quay.io/team/none:1 cannot be had as --mirrors and --ca say, so docker may fetch it") for step in reporter.steps)


@pytest.mark.parametrize("name", ["elsewhere.example/frontend:1", f"quay.io/team/frontend@sha256:{'d' * 64}", "No Name"])
def test_what_docker_fetches_by_itself(docker: Docker, upstream: Upstream, name: str) -> None:
    assert upstream.supply(name, print) is False
    assert docker.pulled == []
