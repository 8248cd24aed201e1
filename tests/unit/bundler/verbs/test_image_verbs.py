"""The verbs of cluster images, as a person types them: what they print, for programs too, and how they end."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bundler.cli import run
from bundler.cluster_images.contents import ORIGINS
from bundler.cluster_images.names import full_name
from bundler.cluster_images.store import ClusterImages
from registry_snapshot.oci.reference import Reference
from tests.unit.bundler.cluster_images.made import LABELS, file, folder, layer, put_image, soft
from tests.unit.registry_snapshot.images import AMD64, ARM64, Image, make_index

BASE = layer(folder("cluster"), folder("cluster/bin"), file("cluster/bin/kubelet", "kubelet", 0o755), file("cluster/old", "old"))
SCHEMA = "values:\n  replicas: {type: integer, default: 1}\n"
CONDITIONS = "conditions:\n  - {name: the shop answers, command: [probe.sh]}\n"
OWN = layer(folder("cluster"), file("cluster/.wh.old", ""), file("cluster/probe.sh", "exit 0", 0o755), file("cluster/conditions.yaml", CONDITIONS))
NEWER = layer(file("cluster/probe.sh", "exit 1", 0o755), soft("cluster/latest", "bin"))
BASE_LABELS = {"internal.airseal.kubernetes": "v1.36.3"}
NEWER_LABELS = {**LABELS, "vendor": "other", "internal.airseal.commands": json.dumps([{"argv": ["true"], "line": 1}])}


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterImages:
    """Return a store with a base, what stands on it with and without its origins written down, and an image for two platforms."""
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("AIRSEAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    store = ClusterImages(tmp_path / "cache")
    store.put(Reference.parse("registry.example/base:1"), put_image(store.blobs, [BASE], labels=BASE_LABELS))
    told = '[["kubernetes:v1.36.3",1],["shop:1",2]]'
    store.put(full_name("shop:1"), put_image(store.blobs, [BASE, OWN], annotations={ORIGINS: told}))
    store.put(full_name("shop:2"), put_image(store.blobs, [BASE, OWN, NEWER], labels=NEWER_LABELS))
    made = {platform: put_image(store.blobs, [layer(file("cluster/x", str(platform)))], labels={}, architecture=platform.architecture) for platform in (AMD64, ARM64)}
    store.put(full_name("both:1"), make_index(store.blobs, {platform: Image(each, each, ()) for platform, each in made.items()}))
    return store


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    ended = run(list(words))
    out, err = capsys.readouterr()
    assert ended == code, err
    return out if code in {0, 1} else err


def value(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    return json.loads(said(capsys, *words, "--json"))


def test_images(images: ClusterImages, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "images").splitlines()
    assert lines[0].split() == ["NAME", "DIGEST", "KUBERNETES", "PLATFORM", "SIZE", "SINCE"]
    digest = images.find("shop:1").descriptor.digest.encoded[:12]
    assert [line.split()[:4] for line in lines if line.startswith("shop:1")] == [["shop:1", digest, "v1.36.3", "linux/amd64"]]
    rows = {row["name"]: row for row in value(capsys, "images")}
    assert list(rows) == ["both:1", "shop:1", "shop:2", "registry.example/base:1"]
    assert rows["both:1"]["platforms"] == ["linux/amd64", "linux/arm64"]
    assert rows["shop:1"]["size"] == sum(part.size for part in images.parts(images.find("shop:1")))
    assert rows["registry.example/base:1"]["kubernetes"] == "v1.36.3"


def test_a_damaged_image_is_told_and_the_others_too(images: ClusterImages, capsys: pytest.CaptureFixture[str]) -> None:
    images.blobs.path(images.parts(images.find("both:1"))[-1].digest).unlink()
    printed = said(capsys, "images")
    assert "damaged" in printed
    assert "both:1: the cluster image both:1 is not whole" in printed
    assert "shop:1 " in printed
    for words in (["inspect", "both:1"], ["history", "both:1"], ["save", "both:1", "-o", "x.tar"], ["tag", "both:1", "other:1"]):
        assert "is not whole" in said(capsys, *words, code=6)


def test_an_empty_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "none"
    assert "airseal build makes one" in said(capsys, "images", "--cache", str(cache))
    assert said(capsys, "images", "--json", "--cache", str(cache)) == "[]\n"
    for words in (["inspect", "x:1"], ["history", "x:1"], ["rm", "x:1"], ["tag", "x:1", "y:1"], ["save", "x:1", "-o", str(tmp_path / "x.tar")], ["diff", "x:1", "y:1"]):
        assert "there is no cluster image x:1" in said(capsys, *words, "--cache", str(cache), code=6)


def test_inspect(images: ClusterImages, capsys: pytest.CaptureFixture[str]) -> None:
    found = value(capsys, "inspect", "shop:1")
    image = images.find("shop:1")
    assert (found["name"], found["digest"], found["platform"], found["kubernetes"]) == ("shop:1", str(image.descriptor.digest), "linux/amd64", "v1.36.3")
    assert found["commands"] == ["kubectl apply -f manifests/"]
    assert found["conditions"] == ["the shop answers"]
    assert found["listed"] == [{"image": "quay.io/team/tool:1", "where": "images.txt:1"}]
    assert found["origins"] == [{"name": "kubernetes:v1.36.3", "layers": 1}, {"name": "shop:1", "layers": 2}]
    assert (found["files"], found["filesSize"], len(found["layers"])) == (3, len("kubelet") + len("exit 0") + len(CONDITIONS), 2)
    assert found["labels"]["vendor"] == "shop"
    text = said(capsys, "inspect", "shop:1")
    for words in ("Kubernetes  v1.36.3", "built on    kubernetes:v1.36.3 → shop:1", "1. kubectl apply -f manifests/", "the shop answers", "quay.io/team/tool:1", "vendor=shop"):
        assert words in text
    assert "internal.airseal.commands" not in text


def test_inspect_of_one_of_several_platforms(images: ClusterImages, capsys: pytest.CaptureFixture[str]) -> None:
    assert [value(capsys, "inspect", "both:1", *words)["platform"] for words in ([], ["--platform", "linux/arm64"])] == ["linux/amd64", "linux/arm64"]
    assert "has nothing for linux/riscv64; it has linux/amd64, linux/arm64" in said(capsys, "inspect", "both:1", "--platform", "linux/riscv64", code=6)
    assert images.find("both:1").descriptor.digest


def test_inspect_reads_lists_values_and_links_of_the_files(images: ClusterImages, capsys: pytest.CaptureFixture[str]) -> None:
    from installer_stub.values.schema import FILE

    schema = json.dumps({"type": "object", "properties": {"replicas": {"type": "integer", "default": 1, "description": "how many"}}})
    big = file("cluster/big", bytes(5 << 20))
    made = layer(file("cluster/images.txt", "quay.io/team/listed:1\nblocked: quay.io/team/not:1  # only shown\n"), file("cluster/sub/schema", schema), soft(f"cluster/{FILE}", "sub/schema"), big)
    images.put(full_name("plain:1"), put_image(images.blobs, [made], labels={}))
    found = value(capsys, "inspect", "plain:1")
    assert found["values"] == [{"path": "replicas", "type": "integer", "required": False, "secret": False, "description": "how many", "default": 1}]
    assert found["listed"] == [{"image": "quay.io/team/listed:1", "where": "images.txt:1"}]
    assert [each["reason"] for each in found["blocked"]] == ["only shown"]
    assert found["filesSize"] > 5 << 20
    assert "replicas (integer, default 1): how many" in said(capsys, "inspect", "plain:1", "--values")


def test_history(images: ClusterImages, capsys: pytest.CaptureFixture[str]) -> None:
    steps = value(capsys, "history", "shop:1")["layers"]
    assert [(step["from"], step["base"], step["files"], step["hidden"]) for step in steps] == [("kubernetes:v1.36.3", True, 2, 0), ("shop:1", False, 2, 1)]
    assert steps[0]["filesSize"] == len("kubelet") + len("old")
    assert [step["line"] for step in steps] == ["COPY step 1 # buildkit", "COPY step 2 # buildkit"]
    # Nobody wrote it down for this one; but it begins with what the store has.
    steps = value(capsys, "history", "shop:2")["layers"]
    assert [(step["from"], step["base"], step["files"]) for step in steps] == [("registry.example/base:1", True, 2), ("shop:1", True, 2), ("shop:2", False, 2)]
    steps = value(capsys, "history", "both:1")["layers"]
    assert [(step["from"], step["base"]) for step in steps] == [(None, False)]
    text = said(capsys, "history", "shop:1")
    assert "+2, 10 B" in text
    assert "; -1" in text
    assert "shop:1 (application)" in text


def test_diff(images: ClusterImages, capsys: pytest.CaptureFixture[str]) -> None:
    found = value(capsys, "diff", "shop:1", "shop:2")
    changes = {(each["kind"], each["name"]): (each["before"], each["after"]) for each in found["differences"]}
    assert set(changes) == {("command", "1"), ("label", "vendor"), ("file", "probe.sh"), ("file", "latest/kubelet")}
    assert changes["command", "1"] == ("kubectl apply -f manifests/", "true")
    assert changes["file", "latest/kubelet"][0] is None
    assert found["sameContent"] is False
    assert found["newBytes"] > 0
    assert "another content" in said(capsys, "diff", "shop:1", "shop:2", "--exit-code", code=1)
    assert "the same content" in said(capsys, "diff", "shop:1", "airseal.internal/image/shop:1", "--exit-code")
    assert "+ file        old" in said(capsys, "diff", "shop:1", "registry.example/base:1")
    assert images.find("shop:1")


def test_a_file_and_a_name_are_told_apart(images: ClusterImages, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "nope.run cannot be opened" in said(capsys, "inspect", "nope.run", code=3)
    assert "cannot be opened" in said(capsys, "diff", "./a", "./b", code=3)
    assert "a file and a cluster image are not compared" in said(capsys, "diff", "shop:1", "x.run", code=2)
    (tmp_path / "shop:1").write_bytes(b"a file of that name")
    assert "no cluster image" not in said(capsys, "inspect", "shop:1", code=3)
    (tmp_path / "both:1").mkdir()
    assert value(capsys, "inspect", "both:1")["name"] == "both:1", "a directory is no artifact"
    assert "airseal.internal" in value(capsys, "inspect", "airseal.internal/image/shop:1")["reference"]
    assert images.find("shop:1")


def test_tag_and_rm(images: ClusterImages, capsys: pytest.CaptureFixture[str]) -> None:
    digest = str(images.find("shop:1").descriptor.digest)
    assert said(capsys, "tag", "shop:1", "registry.example/team/shop:1") == f"registry.example/team/shop:1 is {digest}\n"
    assert f", which was {digest}" in said(capsys, "tag", "shop:2", "registry.example/team/shop:1")
    assert "names a digest" in said(capsys, "tag", "shop:1", f"shop@{digest}", code=2)
    assert "write NAME:TAG" in said(capsys, "tag", "shop:1", "No Name", code=2)
    said(capsys, "tag", "shop:1", "registry.example/team/shop:1")
    assert "others have all of it" in said(capsys, "rm", "registry.example/team/shop:1")
    event = value(capsys, "rm", "shop:1")
    assert (event["event"], event["name"], len(event["blobs"]), event["size"] > 0) == ("removed", "shop:1", 2, True)
    assert "there is no cluster image none:1" in said(capsys, "rm", "shop:2", "none:1", code=6)
    assert images.find("shop:2"), "nothing was taken away"


def test_save_and_load(images: ClusterImages, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    digest = str(images.find("shop:1").descriptor.digest)
    assert digest in said(capsys, "save", "shop:1", "-o", "shop.tar")
    other = ["--cache", str(tmp_path / "other")]
    assert said(capsys, "load", "shop.tar", *other) == f"shop:1 is {digest}\n"
    assert value(capsys, "load", "shop.tar", "--as", "mine:1", *other)["name"] == "mine:1"
    assert [row["digest"] for row in value(capsys, "images", *other)] == [digest, digest]
    whole = (tmp_path / "shop.tar").read_bytes()
    (tmp_path / "torn.tar").write_bytes(whole[:3000])
    assert "torn" in said(capsys, "load", "torn.tar", *other, code=6)
    assert "is a directory" in said(capsys, "save", "shop:1", "-o", ".", code=2)
    assert "cannot be read" in said(capsys, "load", "none.tar", *other, code=6)
    with tarfile.open(tmp_path / "shop.tar") as tar:
        assert {"oci-layout", "index.json", "manifest.json"} <= set(tar.getnames())


def test_what_others_wrote_does_not_steer_a_terminal(images: ClusterImages, capsys: pytest.CaptureFixture[str]) -> None:
    images.put(full_name("evil:1"), put_image(images.blobs, [BASE], labels={"a": "\x1b[2Jgone", "internal.airseal.kubernetes": "\x1b]0;x\x07"}))
    for words in (["images"], ["inspect", "evil:1"], ["history", "evil:1"], ["diff", "evil:1", "shop:1"]):
        printed = said(capsys, *words)
        assert "\x1b" not in printed
        assert "\x1b" not in said(capsys, *words, "--json")
