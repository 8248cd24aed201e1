"""Digests, references, descriptors and manifests: what is read and what is refused."""

from __future__ import annotations

import json

import pytest

from registry_snapshot.errors import DigestInvalid, ManifestInvalid, ReferenceInvalid
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import Index, Manifest, parse_manifest
from registry_snapshot.oci.media_types import DOCKER_LIST, OCI_INDEX, OCI_MANIFEST
from registry_snapshot.oci.reference import Reference, Repository, is_tag, looks_like_registry

DIGEST = Digest.of(b"")


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "md5:" + "a" * 32, "a" * 64, "sha512:" + "a" * 64])
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(DigestInvalid):
        Digest.parse(text)


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("team/app:1", "docker.io/team/app:1"),
        ("index.docker.io/busybox:1", "docker.io/library/busybox:1"),
        ("localhost/app", "localhost/app:latest"),
        ("quay.io:5443/a/b/c:1.0-rc_1", "quay.io:5443/a/b/c:1.0-rc_1"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}"),
        (f"quay.io/a:1@{DIGEST}", f"quay.io/a:1@{DIGEST}"),
        ("[fd00::1]:5000/a:1", "[fd00::1]:5000/a:1"),
    ],
)
def test_references(text: str, full: str) -> None:
    reference = Reference.parse(text)
    assert str(reference) == full
    assert Reference.parse(full) == reference


@pytest.mark.parametrize("text", ["", ":1", "team/App", "a//b", "a/../b", "quay.io/a:", "quay.io/a:.x", "quay.io/", "a" * 256, "quay.io/a b"])
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(ReferenceInvalid):
        Reference.parse(text)


def test_the_same_path_on_two_registries_is_two_repositories() -> None:
    assert Repository.of("quay.io", "a/b") != Repository.of("docker.io", "a/b")


@pytest.mark.parametrize(("text", "yes"), [("quay.io", True), ("localhost", True), ("host:5000", True), ("team", False), ("a_b.io", False), ("", False)])
def test_looks_like_registry(text: str, *, yes: bool) -> None:
    assert looks_like_registry(text) is yes


@pytest.mark.parametrize(("text", "yes"), [("1", True), ("v1.2_3-x", True), (".x", False), ("a" * 129, False), ("a/b", False), ("", False), ("ä", False)])
def test_is_tag(text: str, *, yes: bool) -> None:
    assert is_tag(text) is yes


@pytest.mark.parametrize(
    ("have", "want", "yes"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64", "linux/arm64/v8", False),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("windows/amd64", "linux/amd64", False),
    ],
)
def test_platforms(have: str, want: str, *, yes: bool) -> None:
    assert Platform.parse(have).satisfies(Platform.parse(want)) is yes


@pytest.mark.parametrize("raw", [b"", b"[]", b'"x"', b"{"])
def test_a_config_that_names_no_platform(raw: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        Platform.of_config(raw)


def test_a_descriptor_there_and_back() -> None:
    descriptor = Descriptor(OCI_MANIFEST, DIGEST, 5, Platform("linux", "arm", "v7"), ("https://x",), {"b": "1", "a": "2"}, "application/x")
    assert Descriptor.from_json(json.loads(json.dumps(descriptor.to_json()))) == descriptor


@pytest.mark.parametrize(
    "change",
    [{"size": -1}, {"size": True}, {"size": "1"}, {"digest": 1}, {"digest": "x"}, {"mediaType": None}, {"urls": "x"}, {"annotations": ["x"]}, {"platform": []}, {"artifactType": ["x"]}],
)
def test_what_is_no_descriptor(change: dict[str, object]) -> None:
    with pytest.raises((ManifestInvalid, DigestInvalid)):
        Descriptor.from_json({"mediaType": "x", "digest": str(DIGEST), "size": 1, **change})


@pytest.mark.parametrize(
    ("value", "content_type", "kind"),
    [
        ({"manifests": []}, OCI_INDEX, Index),
        ({"manifests": []}, f"{OCI_INDEX}; charset=utf-8", Index),
        ({"mediaType": DOCKER_LIST, "manifests": []}, "application/json", Index),
        ({"config": {"mediaType": "c", "digest": str(DIGEST), "size": 0}, "layers": []}, OCI_MANIFEST, Manifest),
    ],
)
def test_manifests(value: object, content_type: str, kind: type) -> None:
    assert isinstance(parse_manifest(json.dumps(value).encode(), content_type), kind)
