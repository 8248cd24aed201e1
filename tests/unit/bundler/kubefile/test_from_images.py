"""An image that docker does not have is fetched, and its config read, before anything is built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.engine import ImageInfo
from bundler.errors import DockerError, KubefileError
from bundler.kubefile.from_images import Fetching, from_images
from bundler.kubefile.parse import parse
from bundler.kubefile.stages import stages_of
from bundler.options import ImageOptions
from registry_snapshot.oci.descriptor import Platform
from tests.unit.bundler.reporter import Remembering

AMD = Platform("linux", "amd64")
DIGEST = f"harbor.corp/k8s@sha256:{'d' * 64}"


def image(identity: str, platform: str = "linux/amd64", *digests: str) -> ImageInfo:
    return ImageInfo(f"sha256:{identity}", {}, {}, platform, 1, digests)


class FakeEngine:
    """Images by name here, and in registries."""

    platform = "linux/amd64"

    def __init__(self, here: dict[str, ImageInfo], there: dict[str, ImageInfo]) -> None:
        self.here, self.there = dict(here), there
        self.pulled: list[tuple[str, str]] = []

    def image(self, name: str) -> ImageInfo | None:
        return self.here.get(name)

    def pull(self, name: str, platform: str, output: Callable[[str], None], logins: Path | None) -> None:
        del output, logins
        self.pulled.append((name, platform))
        if name not in self.there:
            raise DockerError(f"docker cannot pull {name}: manifest unknown", "check its name")
        self.here[name] = self.there[name]

    def tag(self, image: str, name: str) -> None:
        self.here[name] = next(each for each in self.here.values() if each.id == image)

    def untag(self, name: str) -> None:
        del self.here[name]


def resolved(engine: FakeEngine, text: str, *, pull: bool = False, upstream: object = None) -> tuple[dict[tuple[str, str], str], Remembering]:
    reporter = Remembering()
    stages = stages_of(parse(text), {}, AMD)
    fetching = Fetching(engine, ImageOptions(pull=pull), reporter, upstream)  # type: ignore[arg-type]
    with from_images(fetching, stages, {"kubernetes:v1"}, AMD) as names:
        assert all(engine.image(name) is not None for name in names.values())
        found = dict(names)
    assert not any(name.startswith("airseal.internal/from") for name in engine.here), "a name of this build stayed"
    return {key: value.partition("-")[0] for key, value in found.items()}, reporter


def test_what_docker_has_is_taken_and_what_it_has_not_is_fetched() -> None:
    engine = FakeEngine({"local": image("aaaa")}, {"harbor.corp/k8s:v1": image("bbbb", "linux/amd64", DIGEST)})
    names, reporter = resolved(engine, "FROM local AS l\nFROM kubernetes:v1\nCOPY --from=l /a /b\nCOPY --from=harbor.corp/k8s:v1 /a /b\n")
    assert names == {("local", ""): "airseal.internal/from:aaaa", ("harbor.corp/k8s:v1", ""): "airseal.internal/from:bbbb"}
    assert engine.pulled == [("harbor.corp/k8s:v1", "linux/amd64")]
    assert reporter.steps[-1] == f"FROM harbor.corp/k8s:v1 is {DIGEST.partition('@')[2]} (fetched)"


def test_one_of_another_platform_or_a_wish_to_pull_asks_the_registry() -> None:
    newer = image("bbbb")
    for here, pull in ((image("aaaa", "linux/arm64/v8"), False), (image("aaaa"), True)):
        engine = FakeEngine({"x": here}, {"x": newer})
        assert resolved(engine, "FROM x\n", pull=pull)[0] == {("x", ""): "airseal.internal/from:bbbb"}


def test_one_that_nobody_has_is_named_with_its_line() -> None:
    with pytest.raises(KubefileError, match=r"Kubefile:3: docker cannot pull b: manifest unknown") as caught:
        resolved(FakeEngine({"a": image("aaaa")}, {}), "FROM a\n\nCOPY --from=b /x /y\n")
    assert caught.value.remedy == "check its name"
