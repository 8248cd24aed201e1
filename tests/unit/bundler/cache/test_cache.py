"""The cache says what is in it and who holds it; a prune takes what nobody needs, and nothing while a build runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from bundler.cache import in_docker
from bundler.cache.builds import alone, builds, forget_build, in_use, remember_build
from bundler.cache.inventory import BLOBS, DOWNLOADS, PYTHONS, REST, STEPS, Item, inventory
from bundler.cache.made import MadeImage, made_images, remember_image
from bundler.cache.prune import DAY, Rule, kept, may_go, names_to_go, remove
from bundler.cache.tidy import tidy, tidy_docker
from bundler.cluster.host_image import host_tag
from bundler.cluster_images.names import full_name
from bundler.cluster_images.store import ClusterImages
from bundler.engine import Engine
from bundler.errors import BuildError, UsageError
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.disk import DiskBlobStore
from tests.airseal_process import airseal
from tests.unit.bundler.cluster_images.made import put_image

NOW = 1_800_000_000.0
OLD = NOW - 100 * DAY


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Two builds that share a blob, one that nobody holds, and what else builds leave."""
    root = tmp_path / "cache"
    store = DiskBlobStore(root / "store")
    for name in ("shared", "of one", "of two", "of nobody"):
        digest = store.put(name.encode())
        os.utime(store.path(digest), (OLD, OLD))
    remember_build(root, "shop:1", tmp_path / "shop.run", [Digest.of(b"shared"), Digest.of(b"of one")], NOW - 2 * DAY)
    remember_build(root, "shop:2", tmp_path / "shop.run", [Digest.of(b"shared"), Digest.of(b"of two")], NOW - DAY, steps=["record/k2"])
    for path in ("downloads/old", "downloads/new", "portable/x86_64-current/x", "portable/x86_64-other/x", "store/blobs/sha256/.partial-x", "steps/record/k1.json", "steps/record/k2.json"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x" * 5000)
    for path in ("downloads/old", "portable/x86_64-other", "portable/x86_64-current", "store/blobs/sha256/.partial-x", "steps/record/k1.json", "steps/record/k2.json"):
        os.utime(root / path, (OLD, OLD))
    os.utime(root / "portable/x86_64-other", (OLD - DAY, OLD - DAY))
    os.utime(root / "downloads/new", (NOW - 3600, NOW - 3600))
    return root


def named(items: list[Item]) -> set[tuple[str, str]]:
    blobs = {Digest.of(name.encode()).encoded: name for name in ("shared", "of one", "of two", "of nobody")}
    return {(item.kind, blobs.get(item.path.name, item.path.name)) for item in items}


def test_what_is_there_and_who_holds_it(cache: Path) -> None:
    assert [build.title for build in builds(cache)] == ["shop:2", "shop:1"]
    items = inventory(cache, builds(cache))
    held = {name: item.holders for item in items for _, name in named([item])}
    assert held["shared"] == ("shop:2", "shop:1")
    assert (held["k2.json"], held["k1.json"]) == (("shop:2",), ())
    assert (held["of one"], held["of nobody"], held["x86_64-current"]) == (("shop:1",), (), ("make stub",))
    assert next(item.used for item in items if item.path.name == Digest.of(b"shared").encoded) == NOW - DAY  # its last build
    assert all(item.size >= 0 for item in items)


@pytest.mark.parametrize(
    ("rule", "gone"),
    [
        (Rule(2, 7 * DAY), {(BLOBS, "of nobody"), (DOWNLOADS, "old"), (PYTHONS, "x86_64-other"), (REST, ".partial-x"), (STEPS, "k1.json")}),
        (Rule(2, 1000 * DAY), {(REST, ".partial-x")}),
        (Rule(1, 7 * DAY), {(BLOBS, "of nobody"), (BLOBS, "of one"), (DOWNLOADS, "old"), (PYTHONS, "x86_64-other"), (REST, ".partial-x"), (STEPS, "k1.json")}),
        (Rule(2, 0), {(BLOBS, "of nobody"), (DOWNLOADS, "old"), (DOWNLOADS, "new"), (PYTHONS, "x86_64-other"), (REST, ".partial-x"), (STEPS, "k1.json")}),
    ],
)
def test_what_nobody_holds_and_nobody_used_goes(cache: Path, rule: Rule, gone: set[tuple[str, str]]) -> None:
    items = inventory(cache, kept(builds(cache), rule))
    assert named(may_go(items, rule, NOW)) == gone


def test_a_cache_that_nobody_tends_has_an_end(cache: Path) -> None:
    for number in range(60):
        remember_build(cache, f"many:{number}", cache / "x.run", [], NOW + number)
    store = DiskBlobStore(cache / "store")
    with in_use(cache):
        assert tidy(cache, NOW) == 0
    assert tidy(cache, NOW) > 0
    assert [build.title for build in builds(cache)] == [f"many:{number}" for number in range(59, 9, -1)]
    assert list(store.digests()) == []  # no build that is remembered holds them, and they are a hundred days old
    assert ((cache / "downloads" / "new").exists(), (cache / "downloads" / "old").exists()) == (True, False)


def test_nothing_outside_of_the_cache_is_removed(cache: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    link = cache / "portable" / "link"
    link.symlink_to(other)
    assert remove(Item(PYTHONS, link, 0, OLD), cache)
    assert (link.is_symlink(), (other / "file").exists()) == (False, True)
    assert not remove(Item(PYTHONS, other, 0, OLD), cache)
    assert not remove(Item(PYTHONS, cache, 0, OLD), cache)
    assert remove(Item(PYTHONS, cache / "portable" / "x86_64-other", 0, OLD), cache)


def test_a_build_that_runs_keeps_everything(cache: Path) -> None:
    with in_use(cache), in_use(cache):
        with pytest.raises(BuildError, match="a build is running in the cache"), alone(cache):
            pass
        done = airseal("cache", "prune", "--keep", "0", "--days", "0", "--cache", cache)
        assert (done.code, "a build is running" in done.err) == (1, True)
    with alone(cache):
        pass
    assert Digest.of(b"of nobody") in DiskBlobStore(cache / "store")


def test_a_build_that_is_killed_keeps_nothing(cache: Path) -> None:
    script = "import sys, pathlib\nfrom bundler.cache.builds import in_use\nwith in_use(pathlib.Path(sys.argv[1])):\n    print(flush=True)\n    sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script, cache], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(BuildError), alone(cache):
            pass
        process.kill()
    with alone(cache):
        pass


@pytest.mark.parametrize("damage", ["", "[]", "{}", "[" * 9000, '{"format": "airseal.cache.build/1", "title": "../x:1", "time": 1, "output": "", "blobs": []}'])
def test_what_cannot_be_read_holds_nothing(cache: Path, damage: str) -> None:
    (cache / "builds" / "shop" / "1.json").write_text(damage)
    assert [build.title for build in builds(cache)] == ["shop:2"]
    forget_build(cache, "shop:2")
    assert builds(cache) == ()
    with pytest.raises(UsageError):
        remember_build(cache, "../x:1", Path("x"), [], NOW)


def test_the_verb_shows_and_prunes(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    then = time.time() - 50 * DAY
    for path in [*(cache / "store" / "blobs" / "sha256").iterdir(), cache / "downloads" / "new"]:
        os.utime(path, (then, then))
    shown = airseal("cache", "--json", "--cache", cache)
    assert shown.code == 0, shown.err
    events = [json.loads(line) for line in shown.out.splitlines()]
    assert [event["title"] for event in events if event["event"] == "build"] == ["shop:2", "shop:1"]
    (whole,) = [event for event in events if event["event"] == "cache"]
    assert 0 < whole["free"] < whole["size"]
    dry = airseal("cache", "prune", "--dry-run", "--cache", cache)
    assert ("would remove downloads/old" in dry.out, (cache / "downloads" / "old").exists()) == (True, True)
    done = airseal("cache", "prune", "--cache", cache)
    assert done.code == 0, done.err
    store = DiskBlobStore(cache / "store")
    assert [Digest.of(name) in store for name in (b"shared", b"of one", b"of two", b"of nobody")] == [True, True, True, False]
    assert not (cache / "downloads" / "old").exists()
    assert airseal("cache", "prune", "--keep", "1", "--cache", cache).code == 0
    assert [Digest.of(name) in store for name in (b"shared", b"of one", b"of two")] == [True, False, True]
    assert [build.title for build in builds(cache)] == ["shop:2"]
    assert airseal("cache", "--keep", "-1", "--cache", cache).code == 2


@pytest.fixture
def images(cache: Path) -> ClusterImages:
    """Return three cluster images over one base, all of a hundred days ago: one that a build named, one whose build is forgotten, one that somebody tagged."""
    store = ClusterImages(cache)
    made = {name: put_image(store.blobs, [b"base", name.encode()]) for name in ("shop:1", "gone:1", "mine:1")}
    for name, descriptor in made.items():
        store.put(full_name(name), descriptor, built=name != "mine:1")
    for path in (cache / "store").rglob("*"):
        os.utime(path, (OLD, OLD))
    for path in (cache / "cluster-images").iterdir():
        path.write_text(json.dumps({**json.loads(path.read_text()), "time": OLD}))
    return store


def test_cluster_images_hold_what_they_consist_of(cache: Path, images: ClusterImages) -> None:
    holding = builds(cache)
    assert [image.name for image in names_to_go(images.all(), holding, Rule(2, 7 * DAY), NOW)] == ["gone:1"]
    assert names_to_go(images.all(), holding, Rule(2, 1000 * DAY), NOW) == []
    assert {image.name for image in names_to_go(images.all(), (), Rule(2, 7 * DAY), NOW)} == {"gone:1", "shop:1"}
    parts = {image.name: {part.digest for part in images.parts(image)} for image in images.all()}
    items = {item.path.name: item.holders for item in inventory(cache, holding)}
    base = set.intersection(*parts.values())
    assert {items[digest.encoded] for digest in base} == {("cluster image gone:1", "cluster image mine:1", "cluster image shop:1")}
    gone = images.find("gone:1")
    left = inventory(cache, holding, [gone])
    going = {item.path.name for item in may_go(left, Rule(2, 7 * DAY), NOW) if item.kind == BLOBS}
    assert going == {digest.encoded for digest in parts["gone:1"] - base} | {Digest.of(b"of nobody").encoded}


def test_a_prune_takes_the_name_of_a_build_that_is_forgotten_and_no_other(cache: Path, images: ClusterImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    shown = airseal("cache", "--json", "--cache", cache)
    told = {event["name"]: event for event in map(json.loads, shown.out.splitlines()) if event["event"] == "image"}
    assert (set(told), told["mine:1"]["size"] > told["mine:1"]["alone"] > 0) == ({"shop:1", "gone:1", "mine:1"}, True)
    dry = airseal("cache", "prune", "--dry-run", "--cache", cache)
    assert ("would remove the name gone:1" in dry.out, len(images.all())) == (True, 3)
    done = airseal("cache", "prune", "--cache", cache)
    assert done.code == 0, done.err
    assert [image.name for image in images.all()] == ["mine:1", "shop:1"]
    for image in images.all():
        assert images.parts(image)
    tidy(cache, NOW)
    assert [image.name for image in images.all()] == ["mine:1", "shop:1"]
    forget_build(cache, "shop:1")
    tidy(cache, NOW)
    assert [image.name for image in images.all()] == ["mine:1"]
    assert images.parts(images.find("mine:1"))
    assert sum(1 for _ in images.blobs.digests()) < 12


class FakeApi:
    def __init__(self, images: list[dict[str, Any]]) -> None:
        self.listed = images
        self.removed: list[str] = []

    def images(self, *, all: bool) -> list[dict[str, Any]]:  # noqa: A002 - docker's own name
        assert not all
        return self.listed

    def inspect_image(self, name: str) -> dict[str, Any]:
        return {"RootFS": {"Layers": next(image["layers"] for image in self.listed if image["Id"] == name)}}


class FakeEngine:
    def __init__(self, api: FakeApi) -> None:
        self.client = self
        self.api = api


def test_which_images_in_docker_are_ours_and_which_are_held() -> None:
    def image(name: str, tags: list[str], layers: list[str], labels: dict[str, str] | None = None) -> dict[str, Any]:
        return {"Id": name, "RepoTags": tags, "Size": 1, "Created": 2, "Labels": labels, "layers": layers}

    api = FakeApi([
        image("1", ["airseal.internal/base/kubernetes:v1-a"], ["a", "b"]),
        image("2", ["airseal.internal/base/kubernetes:v1-b"], ["x"]),
        image("3", ["airseal.internal/image/shop:1", "mine:1"], ["a", "b", "c"]),
        image("4", ["airseal.internal/image/other:1"], ["x", "c"]),
        image("5", [host_tag()], ["h"]),
        image("6", ["airseal.internal/build-host:old"], ["h"]),
        image("7", ["<none>:<none>"], ["a", "d"], {"internal.airseal.commands": "[]"}),
        image("8", ["<none>:<none>"], ["a"], {"theirs": "1"}),
        image("9", ["theirs:1"], ["a"], {"internal.airseal.commands": "[]"}),
    ])  # fmt: skip
    engine: Any = FakeEngine(api)
    found = {image.name: image.holders for image in in_docker.images(engine, {"shop:1"})}
    assert found == {
        "airseal.internal/base/kubernetes:v1-a": ("shop:1",),
        "airseal.internal/base/kubernetes:v1-b": (),
        "airseal.internal/image/shop:1": ("shop:1",),
        "airseal.internal/image/other:1": (),
        host_tag(): ("the temporary host",),
        "airseal.internal/build-host:old": (),
        "7": (),
    }


IDS = {name: f"sha256:{Digest.of(name.encode()).encoded}" for name in ("now", "before", "older", "failed", "fresh", "below", "taken", "busy", "base", "theirs", "gone")}


class FakeDocker:
    """Images by ID with their names; ``busy`` ones are held by a container."""

    def __init__(self) -> None:
        prefix = "airseal.internal/image"
        self.names = {
            IDS["now"]: [f"{prefix}/shop:2"],
            IDS["before"]: [],  # shop:2, before it was built again
            IDS["older"]: [f"{prefix}/shop:1"],
            IDS["failed"]: [f"{prefix}/broken:1"],
            IDS["fresh"]: [f"{prefix}/broken:2"],
            IDS["below"]: [f"{prefix}/parent:1"],
            IDS["taken"]: ["mine:1"],  # somebody gave it a name, and a newer build took ours away
            IDS["busy"]: [],
            IDS["base"]: ["airseal.internal/base/kubernetes:v1-a"],
            IDS["theirs"]: [],  # not remembered: another cache's, or nobody's
        }
        self.client = self.api = self

    def inspect_image(self, name: str) -> dict[str, Any]:
        if name not in self.names:
            raise docker.errors.ImageNotFound("no such image")
        layers = {IDS["now"]: ["a", "p", "c"], IDS["below"]: ["a", "p"], IDS["before"]: ["a", "p"]}
        return {"Id": name, "RepoTags": self.names[name], "RootFS": {"Layers": layers.get(name, ["z"])}, "Os": "linux", "Architecture": "amd64", "Size": 1}

    def remove_image(self, name: str, *, noprune: bool) -> None:
        assert not noprune
        if name == IDS["busy"]:
            raise docker.errors.APIError("conflict: a container uses it")
        for identity, names in list(self.names.items()):
            if name in {identity, *names}:
                del self.names[identity]


def test_at_the_end_of_a_build_images_of_ours_that_no_late_build_stands_on_go_and_no_other(tmp_path: Path) -> None:
    now, engine = 1_000_000.0, FakeDocker()
    for name, identity in IDS.items():
        if name != "theirs":
            remember_image(tmp_path, MadeImage(identity, "shop:1", now - (60 if name in {"now", "before", "fresh"} else 3 * DAY)))
    (tmp_path / "images" / "torn.json").write_text("{")
    remember_build(tmp_path, "shop:2", tmp_path / "shop.run", [], now)
    assert tidy_docker(Engine(engine), tmp_path, now) == 3  # type: ignore[arg-type]
    assert {*IDS.values()} - engine.names.keys() == {IDS[name] for name in ("before", "older", "failed", "gone")}
    assert IDS["gone"] not in {made.id for made in made_images(tmp_path)}
    with in_use(tmp_path):
        engine.names[IDS["before"]] = []
        assert tidy_docker(Engine(engine), tmp_path, now) == 0, "another build runs"  # type: ignore[arg-type]
