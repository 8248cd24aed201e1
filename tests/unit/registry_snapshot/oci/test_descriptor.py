"""Descriptors and platforms: what is read, what is refused, and that reading undoes printing."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.errors import DigestInvalid, ManifestInvalid
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_MANIFEST

DIGEST = Digest.of(b"")
VALUE = {"mediaType": "x", "digest": str(DIGEST), "size": 1}


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


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "linux//v7"])
def test_what_is_no_platform(text: str) -> None:
    with pytest.raises(ManifestInvalid, match="is not a platform"):
        Platform.parse(text)


@pytest.mark.parametrize("raw", [b"", b"[]", b'"x"', b"{", b"\xff", b'{"os": 5}', b"[" * 100_000])
def test_a_config_that_cannot_be_read(raw: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        Platform.of_config(raw)


def test_keys_stand_in_the_specifications_words() -> None:
    descriptor = Descriptor(OCI_MANIFEST, DIGEST, 5, Platform("linux", "arm", "v7"), ("https://x",), {"b": "1", "a": "2"}, "application/x")
    assert json.dumps(descriptor.to_json()) == json.dumps(
        {
            "mediaType": OCI_MANIFEST,
            "digest": str(DIGEST),
            "size": 5,
            "platform": {"architecture": "arm", "os": "linux", "variant": "v7"},
            "urls": ["https://x"],
            "annotations": {"a": "2", "b": "1"},
            "artifactType": "application/x",
        }
    )


@pytest.mark.parametrize(
    "change",
    [
        {"size": -1}, {"size": True}, {"size": "1"}, {"size": 1.5}, {"size": 2**63}, {"size": None}, {"digest": 1}, {"digest": "x"},
        {"digest": None}, {"mediaType": None}, {"mediaType": ["x"]}, {"urls": "x"}, {"urls": [1]}, {"annotations": ["x"]},
        {"annotations": {"a": 1}}, {"platform": []}, {"platform": {"os": []}}, {"artifactType": ["x"]},
    ],
)  # fmt: skip
def test_what_is_no_descriptor(change: dict[str, object]) -> None:
    with pytest.raises((ManifestInvalid, DigestInvalid)):
        Descriptor.from_json({**VALUE, **change})


@pytest.mark.parametrize("key", ["platform", "urls", "annotations", "artifactType", "data"])
def test_null_is_as_if_it_were_not_there(key: str) -> None:
    """So Go's clients read it."""
    assert Descriptor.from_json({**VALUE, key: None}) == Descriptor.from_json(VALUE)
    assert Descriptor.from_json({**VALUE, "annotations": {"a": None}}).annotations == {"a": ""}


def test_content_that_a_descriptor_carries_itself_changes_nothing() -> None:
    """``data`` saves a client a request (descriptor.md); the blob is there all the same."""
    assert Descriptor.from_json({**VALUE, "data": "e30="}) == Descriptor.from_json(VALUE)


texts = st.text(max_size=8)
platforms = st.builds(Platform, texts, texts, texts)
descriptors = st.builds(
    Descriptor,
    texts,
    st.builds(Digest.of, st.binary(max_size=4), st.sampled_from(["sha256", "sha512"])),
    st.integers(0, 2**63 - 1),
    st.one_of(st.none(), platforms),
    st.lists(texts, max_size=2).map(tuple),
    st.dictionaries(texts, texts, max_size=2),
    texts,
)


@given(descriptors)
def test_reading_undoes_printing(descriptor: Descriptor) -> None:
    assert Descriptor.from_json(json.loads(json.dumps(descriptor.to_json()))) == descriptor


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.just(str(DIGEST))),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=5,
)
keys = st.sampled_from(["mediaType", "digest", "size", "platform", "urls", "annotations", "artifactType", "x"])


@given(st.one_of(values, st.dictionaries(keys, values), st.dictionaries(keys, values).map(lambda value: {**VALUE, **value})))
def test_any_value_is_a_descriptor_or_refused(value: object) -> None:
    with contextlib.suppress(ManifestInvalid, DigestInvalid):
        descriptor = Descriptor.from_json(value)
        assert Descriptor.from_json(descriptor.to_json()) == descriptor
