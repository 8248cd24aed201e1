"""Whatever bytes come as a manifest, a config or a descriptor: they are understood, or a named error says why not."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from registry_snapshot.errors import RegistryError
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import MAX_MANIFEST_BYTES, Index, Manifest, parse_manifest

KEYS = ["mediaType", "digest", "size", "config", "layers", "manifests", "subject", "platform", "urls", "annotations", "artifactType", "os", "architecture", "variant", "data", "schemaVersion"]
TYPES = [*media_types.INDEXES, *media_types.MANIFESTS, media_types.OCI_CONFIG, media_types.OCI_LAYER, "", "text/html", "a/b; charset=utf-8"]
texts = st.text(max_size=20) | st.sampled_from([*TYPES, str(Digest.of(b"")), str(Digest.of(b"", "sha512")), "sha256:x", "http://x", "linux"]) | st.just("\ud800")
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | texts, inner, max_size=5), max_leaves=20)
descriptors = st.fixed_dictionaries(
    {"mediaType": st.sampled_from(TYPES), "digest": st.just(str(Digest.of(b"x"))), "size": st.integers(-1, 2**64)},
    optional={"platform": anything, "urls": anything, "annotations": anything, "artifactType": anything},
)
manifests = st.fixed_dictionaries(
    {},
    optional={
        "mediaType": st.sampled_from(TYPES) | anything,
        "config": descriptors | anything,
        "layers": st.lists(descriptors, max_size=2) | anything,
        "manifests": st.lists(descriptors, max_size=2) | anything,
        "subject": descriptors | anything,
        "annotations": anything,
        "artifactType": anything,
    },
)


def read(raw: bytes, media_type: str) -> Manifest | Index | None:
    try:
        return parse_manifest(raw, media_type)
    except RegistryError:
        return None


@settings(max_examples=200)
@given(manifests.map(lambda value: json.dumps(value).encode()), st.sampled_from(TYPES) | st.text(max_size=30))
@example(b'{"mediaType": ["a"]}', "")
@example(b'{"mediaType": {}, "manifests": []}', media_types.OCI_INDEX)
def test_any_object_is_a_manifest_or_a_named_error(raw: bytes, media_type: str) -> None:
    parsed = read(raw, media_type)
    if parsed is None:
        return
    assert parsed.media_type in media_types.INDEXES | media_types.MANIFESTS
    children = parsed.manifests if isinstance(parsed, Index) else parsed.children()
    for child in children:
        assert child.size >= 0
        assert Descriptor.from_json(json.loads(json.dumps(child.to_json()))) == child


@settings(max_examples=200)
@given(st.binary(max_size=300) | anything.map(lambda value: json.dumps(value).encode()) | st.text().map(lambda text: text.encode("utf-16")))
def test_any_bytes_are_a_manifest_or_a_named_error(raw: bytes) -> None:
    for media_type in TYPES:
        read(raw, media_type)


@settings(max_examples=200)
@given(anything)
def test_anything_is_a_descriptor_or_a_named_error(value: object) -> None:
    try:
        descriptor = Descriptor.from_json(value)
    except RegistryError:
        return
    assert Descriptor.from_json(descriptor.to_json()) == descriptor


@settings(max_examples=200)
@given(st.binary(max_size=100) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_config_has_a_platform_or_is_a_named_error(raw: bytes) -> None:
    try:
        platform = Platform.of_config(raw)
    except RegistryError:
        return
    assert isinstance(str(platform), str)


def filled(opening: bytes, filler: bytes, closing: bytes = b"") -> bytes:
    return opening + filler * ((MAX_MANIFEST_BYTES - len(opening) - len(closing)) // len(filler)) + closing


LARGEST = {
    "deep lists": filled(b'{"layers": ', b"["),
    "deep objects": filled(b"", b'{"a":'),
    "deep and closed": b'{"config": ' + b"[" * 2_000_000 + b"]" * 2_000_000 + b"}",
    "one number": filled(b'{"size": ', b"9", b"}"),
    "one exponent": b'{"size": 1e' + b"9" * 400_000 + b"}",
    "many numbers": filled(b'{"layers": [', b"9" * 4000 + b",", b"1]}"),
    "one text": filled(b'{"mediaType": "', b"x", b'"}'),
    "escapes": filled(b'{"mediaType": "', b"\\u0000", b'"}'),
    "the same key": filled(b"{", b'"config": {}, ', b'"config": {}}'),
    "many keys": b"{" + b",".join(b'"%d":0' % number for number in range(60_000)) + b"}",
    "many lists": b'{"layers": [' + b"[]," * 100_000 + b"[]]}",
    "descriptors": filled(b'{"config": {}, "layers": [', b'{"mediaType": "a/b", "digest": "x", "size": 1},', b"{}]}"),
    "spaces": filled(b"", b" "),
    "nulls": bytes(MAX_MANIFEST_BYTES),
}


@pytest.mark.parametrize("raw", LARGEST.values(), ids=LARGEST.keys())
def test_the_largest_manifests_end_and_leave_nothing_behind(raw: bytes) -> None:
    assert len(raw) <= MAX_MANIFEST_BYTES
    read(raw, media_types.OCI_MANIFEST)
    tracemalloc.start()
    try:
        assert read(raw, media_types.OCI_MANIFEST) is None
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < 200_000


def test_one_byte_more_is_not_even_looked_at() -> None:
    with pytest.raises(RegistryError, match=f"{MAX_MANIFEST_BYTES + 1} bytes"):
        parse_manifest(b"[" * (MAX_MANIFEST_BYTES + 1), media_types.OCI_MANIFEST)


def test_of_a_key_that_stands_twice_the_last_counts_as_it_does_for_clients() -> None:
    """Go's encoding/json does the same, so nobody can show us one image and containerd another."""
    config = Descriptor(media_types.OCI_CONFIG, Digest.of(b"c"), 1).to_json()
    other = json.dumps({**config, "size": 2})
    raw = f'{{"config": {json.dumps(config)}, "config": {other}, "layers": []}}'.encode()
    parsed = parse_manifest(raw, media_types.OCI_MANIFEST)
    assert isinstance(parsed, Manifest)
    assert parsed.config.size == 2


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        ({"config": {}, "layers": [], "manifests": []}, media_types.OCI_MANIFEST),
        ({"manifests": [], "layers": []}, media_types.OCI_INDEX),
        ({"manifests": [], "config": {}}, media_types.DOCKER_LIST),
    ],
)
def test_what_is_a_manifest_and_an_index_at_once_is_neither(body: dict[str, object], media_type: str) -> None:
    """One client would run the one, another the other (CVE-2021-41190); containerd refuses both."""
    descriptor = Descriptor(media_types.OCI_CONFIG, Digest.of(b"c"), 1).to_json()
    full = {key: (descriptor if value == {} else [descriptor]) for key, value in body.items()}
    with pytest.raises(RegistryError, match="both"):
        parse_manifest(json.dumps(full).encode(), media_type)
