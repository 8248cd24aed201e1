"""Layouts are valid, the same every time, and what registries really serve: indexes, attestations, both media types."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from tests.testbed.oci_image import Build, Entry, Files, Image, Tree, layout_digest, write_layout

_LAYER = Files({"bin/tool": Entry(b"#!/bin/sh\n", 0o755), "etc/name": Entry(b"x\n")}, {"bin/alias": "tool"})


def _blob(layout: Path, digest: str) -> bytes:
    data = (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()
    assert hashlib.sha256(data).hexdigest() == digest.removeprefix("sha256:")
    return data


def _manifest(layout: Path, digest: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(_blob(layout, digest))
    return value


def test_the_same_recipe_gives_the_same_digest(tmp_path: Path) -> None:
    image = Image("example.org/tool:1", (Build((_LAYER,), {"Cmd": ["tool"]}),))
    for name in ("a", "b"):
        assert write_layout(image, tmp_path / name / "layers", tmp_path / name / "layout")
    assert layout_digest(tmp_path / "a" / "layout") == layout_digest(tmp_path / "b" / "layout")
    assert not write_layout(image, tmp_path / "a" / "layers", tmp_path / "a" / "layout")


def test_a_layer_holds_the_files_with_their_modes_and_parents(tmp_path: Path) -> None:
    image = Image("example.org/tool:1", (Build((_LAYER,)),))
    write_layout(image, tmp_path / "layers", tmp_path / "layout")
    manifest = _manifest(tmp_path / "layout", layout_digest(tmp_path / "layout"))
    config = json.loads(_blob(tmp_path / "layout", manifest["config"]["digest"]))
    plain = gzip.decompress(_blob(tmp_path / "layout", manifest["layers"][0]["digest"]))
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(plain).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        members = {member.name: member for member in tar}
    assert set(members) == {"bin", "etc", "bin/tool", "bin/alias", "etc/name"}
    assert members["bin/tool"].mode == 0o755
    assert members["bin/alias"].linkname == "tool"


def test_a_directory_may_be_empty(tmp_path: Path) -> None:
    Files({"bin/tool": Entry(b"")}, directories=("var/data",)).write_tar(tmp_path / "layer.tar")
    with tarfile.open(tmp_path / "layer.tar") as tar:
        assert [(member.name, member.isdir()) for member in tar] == [
            ("bin", True),
            ("var/data", True),
            ("bin/tool", False),
        ]


def test_several_builds_become_an_index_with_an_attestation(tmp_path: Path) -> None:
    builds = (Build((_LAYER,)), Build((_LAYER,), architecture="arm64", variant="v8"))
    write_layout(Image("example.org/tool:1", builds, attested=True), tmp_path / "layers", tmp_path / "layout")
    index = _manifest(tmp_path / "layout", layout_digest(tmp_path / "layout"))
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    platforms = [child["platform"]["architecture"] for child in index["manifests"]]
    assert platforms == ["amd64", "arm64", "unknown"]
    for child in index["manifests"]:
        _manifest(tmp_path / "layout", child["digest"])
    subject = index["manifests"][2]["annotations"]["vnd.docker.reference.digest"]
    assert subject == index["manifests"][0]["digest"]


def test_docker_types_are_docker_types_throughout(tmp_path: Path) -> None:
    image = Image("example.org/tool:1", (Build((_LAYER,)),), docker_types=True, index=True)
    write_layout(image, tmp_path / "layers", tmp_path / "layout")
    index = _manifest(tmp_path / "layout", layout_digest(tmp_path / "layout"))
    assert index["mediaType"] == "application/vnd.docker.distribution.manifest.list.v2+json"
    child = _manifest(tmp_path / "layout", index["manifests"][0]["digest"])
    assert child["config"]["mediaType"] == "application/vnd.docker.container.image.v1+json"


def test_a_tree_loses_its_device_nodes(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "rootfs.tar", "w") as tar:
        for name, kind in (
            ("./dev/", tarfile.DIRTYPE),
            ("./dev/null", tarfile.CHRTYPE),
            ("./bin/", tarfile.DIRTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type = kind
            tar.addfile(member)
    Tree(tmp_path / "rootfs.tar", "key").write_tar(tmp_path / "out.tar")
    with tarfile.open(tmp_path / "out.tar") as tar:
        assert [member.name.rstrip("/") for member in tar] == ["./dev", "./bin"]
