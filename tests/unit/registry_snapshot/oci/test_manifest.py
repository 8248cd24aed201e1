"""Manifests and indexes: views over bytes that are never written again; any bytes are one, or refused by name."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.errors import DigestInvalid, ManifestInvalid
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import (
    MAX_MANIFEST_BYTES,
    Index,
    Manifest,
    as_referrer,
    descriptor_of,
    parse_manifest,
)
from registry_snapshot.oci.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST
from tests.unit.registry_snapshot.oci.test_descriptor import VALUE, descriptors, values

CONFIG = {"mediaType": OCI_EMPTY, "digest": str(Digest.of(b"{}")), "size": 2, "data": "e30="}
IMAGE = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": [VALUE]}
INDEX = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [VALUE]}


def parsed(value: object, content_type: str = "") -> Manifest | Index:
    return parse_manifest(json.dumps(value).encode(), content_type)


@pytest.mark.parametrize(
    ("value", "content_type", "kind"),
    [
        ({"manifests": []}, OCI_INDEX, Index),
        ({"manifests": []}, f"{OCI_INDEX}; charset=utf-8", Index),
        ({"mediaType": DOCKER_LIST, "manifests": []}, "application/json", Index),
        ({"manifests": None}, OCI_INDEX, Index),  # what Go writes for a list without elements
        ({"config": CONFIG, "layers": []}, OCI_MANIFEST, Manifest),
        ({"config": CONFIG, "layers": None}, DOCKER_MANIFEST, Manifest),
        ({**IMAGE, "mediaType": None}, OCI_MANIFEST, Manifest),
    ],
)
def test_manifests(value: object, content_type: str, kind: type) -> None:
    assert isinstance(parsed(value, content_type), kind)


@pytest.mark.parametrize(
    ("value", "content_type"),
    [
        ([], OCI_INDEX), ("x", OCI_INDEX), (None, OCI_INDEX), ({}, OCI_INDEX), ({"manifests": {}}, OCI_INDEX), ({"manifests": [1]}, OCI_INDEX),
        ({"layers": []}, OCI_MANIFEST), ({"config": CONFIG}, OCI_MANIFEST), ({"config": [], "layers": []}, OCI_MANIFEST), (IMAGE | {"mediaType": ["x"]}, ""),
        (IMAGE | {"mediaType": "text/html"}, OCI_MANIFEST), (IMAGE | {"subject": []}, ""), (IMAGE | {"annotations": []}, ""),
        (IMAGE | {"artifactType": 1}, ""), ({"schemaVersion": 1, "fsLayers": []}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    ],
)  # fmt: skip
def test_what_is_no_manifest(value: object, content_type: str) -> None:
    with pytest.raises(ManifestInvalid):
        parsed(value, content_type)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"size": ' + b"9" * 10_000 + b"}", b"\x00" * 10])
def test_what_is_no_json(raw: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        parse_manifest(raw, OCI_MANIFEST)


def test_a_manifest_of_four_mebibytes_is_read_and_a_larger_one_is_not() -> None:
    padding = MAX_MANIFEST_BYTES - len(json.dumps({**IMAGE, "annotations": {"a": ""}}))
    raw = json.dumps({**IMAGE, "annotations": {"a": "x" * padding}}).encode()
    assert len(raw) == MAX_MANIFEST_BYTES
    assert parse_manifest(raw, "").annotations["a"] == "x" * padding
    with pytest.raises(ManifestInvalid, match="larger than container runtimes accept"):
        parse_manifest(raw + b" ", "")


def test_fields_of_no_specification_are_passed_over() -> None:
    assert parsed({**IMAGE, "org.example": [{}]}) == parsed(IMAGE)


@pytest.mark.parametrize(
    ("value", "artifact_type"),
    [
        ({**IMAGE, "artifactType": "application/x"}, "application/x"),
        (IMAGE, OCI_EMPTY),
        ({**IMAGE, "artifactType": ""}, OCI_EMPTY),
        ({**IMAGE, "artifactType": None}, OCI_EMPTY),
        ({**INDEX, "artifactType": "application/x"}, "application/x"),
        (INDEX, ""),
        ({**INDEX, "artifactType": None}, ""),
    ],
)
def test_a_referrer_is_listed_with_its_type_and_its_annotations(value: dict[str, object], artifact_type: str) -> None:
    """The manifest's own, not those that an index which lists it gives it: distribution-spec, "Listing Referrers"."""
    manifest = parsed({**value, "annotations": {"a": "b"}})
    listed = as_referrer(descriptor_of(b"raw", manifest.media_type), manifest)
    assert (listed.artifact_type, listed.annotations, listed.digest) == (artifact_type, {"a": "b"}, Digest.of(b"raw"))


@given(st.lists(descriptors, max_size=3), st.one_of(st.none(), descriptors))
def test_what_is_written_is_what_is_read(children: list[object], subject: object) -> None:
    written = [child.to_json() for child in children]  # type: ignore[attr-defined]
    more = {"subject": subject.to_json()} if subject else {}  # type: ignore[attr-defined]
    index = parsed({**INDEX, "manifests": written, **more})
    assert isinstance(index, Index)
    assert (list(index.manifests), index.subject) == (children, subject)
    image = parsed({**IMAGE, "layers": written, **more})
    assert isinstance(image, Manifest)
    assert (list(image.layers), image.subject) == (children, subject)


keys = st.sampled_from(["mediaType", "config", "layers", "manifests", "subject", "annotations", "artifactType", "schemaVersion"])
kinds = st.sampled_from([OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, "", "text/html"])


@given(st.sampled_from([IMAGE, INDEX, {}]), st.dictionaries(keys, st.one_of(values, st.just(CONFIG), st.just([CONFIG]))), kinds)
def test_any_object_is_a_manifest_or_refused(base: dict[str, object], change: dict[str, object], kind: str) -> None:
    with contextlib.suppress(ManifestInvalid, DigestInvalid):
        parsed({**base, **change}, kind)


@given(st.one_of(st.binary(max_size=60), st.text('{}[]":,0na\\ux', max_size=40).map(str.encode)), kinds)
def test_any_bytes_are_a_manifest_or_refused(raw: bytes, kind: str) -> None:
    with contextlib.suppress(ManifestInvalid, DigestInvalid):
        parse_manifest(raw, kind)
