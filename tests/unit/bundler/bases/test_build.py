"""A base is built once from verified bytes; who vouches for them is said, frozen and held against later changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundler.bases.build import BaseBuilder, frozen_file, image_tag, resolve_pins
from bundler.bases.download import Downloader
from bundler.bases.pins import add_pins, load_pins
from bundler.bases.recipe import Recipe, find_recipe
from bundler.engine import ImageInfo
from bundler.errors import ChecksumMismatch, RecipeError
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.record.destinations import Destinations
from tests.unit.bundler.bases.file_server import Site, serving
from tests.unit.bundler.reporter import Remembering

TOOL = b"\x7fELF tool"
HASH = hashlib.sha256(TOOL).hexdigest()


class FakeEngine:
    """The part of Engine that makes images: remembers what it was sent."""

    def __init__(self) -> None:
        self.images: dict[str, ImageInfo] = {}
        self.contexts: list[bytes] = []
        self.labels: list[dict[str, str]] = []

    def image(self, name: str) -> ImageInfo | None:
        return self.images.get(name)

    def build(self, context: Iterator[bytes], *, tag: str, labels: dict[str, str], **_: Any) -> ImageInfo:
        self.contexts.append(b"".join(context))
        self.labels.append(labels)
        self.images[tag] = ImageInfo("sha256:1", {}, {}, "linux/amd64", 1)
        return self.images[tag]


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as served:
        served.files |= {"/v1/tool": TOOL, "/v1/tool.sha256": HASH.encode()}
        yield served


@pytest.fixture
def recipe(tmp_path: Path, site: Site) -> Recipe:
    directory = tmp_path / "bases" / "mine"
    directory.mkdir(parents=True)
    (directory / "Kubefile").write_text("FROM scratch\nCOPY cluster/ /cluster/\nCMD tool\n")
    (directory / "recipe.yaml").write_text(
        "versions: {v1: {kubernetes: v1}}\n"
        "downloads:\n"
        f"  - url: {site.url}/{{kubernetes}}/tool\n"
        f"    checksum: {{url: '{site.url}/{{kubernetes}}/tool.sha256', format: bare}}\n"
        "    files: {cluster/bin/tool: {mode: 0755}}\n"
    )
    found = find_recipe("mine:v1", Platform("linux", "amd64"), tmp_path / "bases")
    assert found is not None
    return found


@pytest.fixture
def downloader(tmp_path: Path) -> Downloader:
    return Downloader(tmp_path / "cache" / "downloads", Remembering(), tries=1, destinations=Destinations(private=("localhost", "127.0.0.0/8")))


def builder(engine: FakeEngine, downloader: Downloader, tmp_path: Path, reporter: Remembering | None = None, *, accept: bool = True) -> BaseBuilder:
    return BaseBuilder(engine, downloader, tmp_path / "cache", reporter or Remembering(), accept=accept)  # type: ignore[arg-type]


def test_without_a_pin_the_publisher_is_asked_once_and_frozen(
    tmp_path: Path, site: Site, recipe: Recipe, downloader: Downloader
) -> None:
    reporter, engine = Remembering(), FakeEngine()
    tag = builder(engine, downloader, tmp_path, reporter).tag(recipe)
    assert tag.startswith("airseal.internal/base/mine:v1-")
    assert load_pins(frozen_file(recipe, tmp_path / "cache")) == {f"{site.url}/v1/tool": HASH}
    assert any("taking its publisher's checksum" in step for step in reporter.steps)
    assert TOOL in engine.contexts[0]
    assert engine.labels[0]["internal.airseal.pins"] == "publisher, frozen at the first download"
    assert engine.labels[0]["internal.airseal.kubernetes"] == "v1"
    assert builder(engine, downloader, tmp_path).tag(recipe) == tag
    assert len(engine.contexts) == 1
    assert [path for path, _ in site.seen] == ["/v1/tool.sha256", "/v1/tool"]


def test_what_nobody_has_pinned_is_believed_only_if_that_is_said(
    tmp_path: Path, site: Site, recipe: Recipe, downloader: Downloader
) -> None:
    """A mirror that serves a wrong program and its checksum is consistent: only a pin, or a person, can tell."""
    for use in (lambda: builder(FakeEngine(), downloader, tmp_path, accept=False).tag(recipe), lambda: resolve_pins(recipe, downloader, tmp_path / "cache", Remembering())):
        with pytest.raises(RecipeError, match="nobody has pinned") as caught:
            use()
        assert f"{site.url}/v1/tool" in caught.value.problem
        assert "--accept-publisher-checksums" in caught.value.remedy
    assert site.seen == []
    builder(FakeEngine(), downloader, tmp_path).tag(recipe)
    builder(FakeEngine(), downloader, tmp_path, accept=False).tag(recipe)  # it was said, and is held against later changes


def test_a_pin_of_the_repository_is_all_that_counts(tmp_path: Path, site: Site, recipe: Recipe, downloader: Downloader) -> None:
    add_pins(recipe.pins_file, {f"{site.url}/v1/tool": HASH}, "known")
    pins = resolve_pins(recipe, downloader, tmp_path / "cache", Remembering())
    assert (pins.frozen, pins.vouched) == ((), "airseal")
    assert site.seen == []


def test_a_pin_that_is_given_comes_before_all_others(tmp_path: Path, site: Site, recipe: Recipe, downloader: Downloader) -> None:
    add_pins(recipe.pins_file, {f"{site.url}/v1/tool": "0" * 64}, "known")
    pins = resolve_pins(recipe, downloader, tmp_path / "cache", Remembering(), {f"{site.url}/v1/tool": HASH})
    assert (pins.hashes, pins.vouched) == ({f"{site.url}/v1/tool": HASH}, "pins given to the build")


def test_what_changed_after_it_was_frozen_stops_the_build(tmp_path: Path, site: Site, recipe: Recipe, downloader: Downloader) -> None:
    resolve_pins(recipe, downloader, tmp_path / "cache", Remembering(), accept=True)
    site.files |= {"/v1/tool": b"other", "/v1/tool.sha256": hashlib.sha256(b"other").hexdigest().encode()}
    with pytest.raises(ChecksumMismatch) as caught:
        builder(FakeEngine(), downloader, tmp_path).tag(recipe)
    for words in (f"{site.url}/v1/tool", HASH, hashlib.sha256(b"other").hexdigest(), str(frozen_file(recipe, tmp_path / "cache"))):
        assert words in str(caught.value)


def test_what_differs_from_the_repository_s_pin_is_not_excused(
    tmp_path: Path, site: Site, recipe: Recipe, downloader: Downloader
) -> None:
    add_pins(recipe.pins_file, {f"{site.url}/v1/tool": "0" * 64}, "known")
    with pytest.raises(ChecksumMismatch, match="look for a proxy or mirror"):
        builder(FakeEngine(), downloader, tmp_path).tag(recipe)


def test_nobody_vouches(tmp_path: Path, recipe: Recipe, downloader: Downloader) -> None:
    file = recipe.directory / "recipe.yaml"
    file.write_text("\n".join(line for line in file.read_text().splitlines() if "checksum" not in line))
    bare = find_recipe("mine:v1", recipe.platform, recipe.directory.parent)
    assert bare is not None
    with pytest.raises(RecipeError, match="has no pin, and its publisher has no checksum file"):
        resolve_pins(bare, downloader, tmp_path / "cache", Remembering(), accept=True)


def test_the_tag_follows_every_byte(tmp_path: Path, recipe: Recipe, downloader: Downloader) -> None:
    pins = resolve_pins(recipe, downloader, tmp_path / "cache", Remembering(), accept=True)
    first = image_tag(recipe, pins)
    (recipe.directory / "Kubefile").write_text("FROM scratch\n")
    assert image_tag(recipe, pins) != first
    assert image_tag(replace(recipe, balancer="docker.io/library/haproxy:3.0.11"), pins) != image_tag(recipe, pins)


def test_the_image_says_which_balancer_its_nodes_run(tmp_path: Path, recipe: Recipe, downloader: Downloader) -> None:
    engine = FakeEngine()
    builder(engine, downloader, tmp_path).tag(replace(recipe, balancer="docker.io/library/haproxy:3.0.11"))
    builder(engine, downloader, tmp_path).tag(recipe)
    assert engine.labels[0]["internal.airseal.balancer"] == "docker.io/library/haproxy:3.0.11"
    assert "internal.airseal.balancer" not in engine.labels[1]


def test_nothing_is_left_of_the_unpacked_files(tmp_path: Path, recipe: Recipe, downloader: Downloader) -> None:
    builder(FakeEngine(), downloader, tmp_path).tag(recipe)
    assert list((tmp_path / "cache" / "bases" / "staging").iterdir()) == []


def test_files_beside_the_recipe_are_in_the_image_and_in_its_name(tmp_path: Path, recipe: Recipe, downloader: Downloader) -> None:
    engine = FakeEngine()
    before = builder(engine, downloader, tmp_path).tag(recipe)
    place = recipe.directory / "files" / "cluster" / "manifests"
    place.mkdir(parents=True)
    (place / "calico.yaml").write_text("kind: a network of the user's own\n")
    after = builder(engine, downloader, tmp_path).tag(recipe)
    assert b"a network of the user's own" in engine.contexts[1]
    (place / "calico.yaml").write_text("kind: another\n")
    assert len({before, after, builder(engine, downloader, tmp_path).tag(recipe)}) == 3
