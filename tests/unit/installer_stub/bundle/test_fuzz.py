"""Whatever bytes come as a document: a value, or the decoder's own error. And a value has one form."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installer_stub.bundle import receipt as receipts
from installer_stub.bundle.cluster_files import cluster_manifest, parse_cluster_manifest
from installer_stub.bundle.coverage import (
    Answer,
    Blocked,
    Coverage,
    LackingRuntime,
    Signatures,
    Unresolved,
    Vouched,
    decode_coverage,
    encode_coverage,
)
from installer_stub.bundle.documents import (
    BundleDocument,
    Needs,
    Part,
    decode_bundle,
    decode_lock,
    encode_bundle,
    encode_lock,
)
from installer_stub.bundle.model import (
    FILE_PLAIN,
    BundleInfo,
    ClusterCommand,
    ClusterFile,
    ImageLock,
    LockedImage,
)
from installer_stub.bundle.names import (
    BOOTLOADER,
    BUNDLE,
    COVERAGE,
    INDEX,
    LOCK,
    OCI_LAYOUT,
    PACKAGE,
    RECEIPT,
    STUB,
)
from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.reasons import Attached, Gone, Listed, Pulled, Reason, Recorded, Scanned
from installer_stub.errors import BundleError
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.layout_index import layout_index, parse_layout_index
from tests.unit.installer_stub.bundle.forge import Forged

EXAMPLES = settings(max_examples=80)
FORGED = 250  # files
CLUSTER = Descriptor(OCI_MANIFEST, Digest.of(b"cluster"), 7)
ROOT = Descriptor(OCI_INDEX, Digest.of(b"index", "sha512"), 5, Platform("linux", "arm64", "v8"), ("https://a",), {"b": "1", "a": "é"}, "a/b")
REASONS: tuple[Reason, ...] = (Recorded("Deployment shop/api", "api"), Gone("storage", "x"), Scanned("CronJob shop/nightly", "spec.image"), Listed("images.txt:3"), Pulled(), Attached("SBOM", "a@b"))
PLACES = (Scanned("CronJob shop/nightly", "spec.image"), Scanned("Job shop/a", "x"))
INFO = BundleInfo("shop", "1.4.0", "v1.36.3", ("linux/amd64",), CLUSTER, (ClusterCommand(("/bin/sh", "-ec", "a"), 7, 30), ClusterCommand(("helm",))), {"B": "2", "A": "\u2028"}, {"vendor": "ü"}, 5, 6, 7, "0.1.0")
PARTS = {name: Part(Digest.of(name.encode()), len(name)) for name in (BOOTLOADER, STUB, OCI_LAYOUT, INDEX, LOCK, PACKAGE, COVERAGE, RECEIPT)}
FILE = ClusterFile("bin/a", 0o755, 3, Digest.of(b"abc"), Descriptor(FILE_PLAIN, Digest.of(b"abc"), 3))
REFERENCE = Reference.parse("quay.io/a/b:1")
IMAGES = ((Reference.parse("a/b:1"), ROOT), (REFERENCE, CLUSTER))

BUNDLE_2 = encode_bundle(BundleDocument(INFO, PARTS, {CLUSTER.digest: 7, ROOT.digest: 5}, Needs("x86_64", "2.17")))
LOCK_2 = encode_lock(ImageLock(tuple(LockedImage(name, root, (root.digest, CLUSTER.digest), REASONS, 12) for name, root in IMAGES)))
COVERAGE_1 = encode_coverage(
    Coverage(
        tuple(Unresolved(REFERENCE, answer, PLACES) for answer in Answer),
        (Blocked(REFERENCE, "b", "images.txt:3", PLACES), Blocked(REFERENCE, "a", "images.txt:3")),
        ("b", "a"),
        (LackingRuntime("kata", "", PLACES), LackingRuntime("gvisor", "runsc", ())),
    )
)
HELD = Signatures(CLUSTER.digest, (Vouched(REFERENCE, "sha256:" + "0" * 64), Vouched(Reference.parse("a/b:9"), unsigned="nobody does")))
COVERAGE_2 = encode_coverage(Coverage((), (), ("b", "a"), (), HELD))
RECEIPT_1 = receipts.encode(receipts.Receipt(False, "1+1", "ab" * 32, 1_790_000_000, 300, "0.1.0", "v1", "20", (receipts.Forced("tests", 0),), ("n",), ("i",)))


def without(raw: bytes, member: str, number: str) -> bytes:
    """Make of a document of this format what the one before may have been."""
    value = json.loads(raw)
    value.pop(member, None)
    return json.dumps(value | {"format": f"{value['format'][:-1]}{number}"}).encode()


def in_words(raw: bytes) -> bytes:
    value = json.loads(without(raw, "", "1"))
    for image in value["images"]:
        image["reasons"] = ["Deployment shop/api, container api", "a pod that is gone, a/b", "pulled by the cluster", "images.txt:3"]
    return json.dumps(value).encode()


# Decoder → a valid document, the encoder of the form that it has to have, and what it may raise.
Decoder = Callable[[bytes], Any]
DECODERS: dict[str, tuple[Decoder, bytes, Callable[[Any], bytes] | None, tuple[type[Exception], ...]]] = {
    "bundle": (decode_bundle, BUNDLE_2, encode_bundle, (BundleError,)),
    "bundle of format 1": (decode_bundle, without(BUNDLE_2, "needs", "1"), None, (BundleError,)),
    "lock": (decode_lock, LOCK_2, encode_lock, (BundleError,)),
    "lock in words": (decode_lock, in_words(LOCK_2), None, (BundleError,)),
    "coverage": (decode_coverage, COVERAGE_1, encode_coverage, (BundleError,)),
    "coverage with signatures": (decode_coverage, COVERAGE_2, encode_coverage, (BundleError,)),
    "receipt": (receipts.decode, RECEIPT_1, receipts.encode, (BundleError,)),
    "cluster files": (parse_cluster_manifest, cluster_manifest([FILE]), cluster_manifest, (BundleError,)),
    "no cluster files": (parse_cluster_manifest, cluster_manifest([]), cluster_manifest, (BundleError,)),
    "index": (parse_layout_index, layout_index(IMAGES), None, (RegistryError,)),
}
every_decoder = pytest.mark.parametrize("name", DECODERS)

NUMBERS = [0, -1, 1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, -(10**4000), 1.5, 7.0, 1e308, float("inf"), float("-inf"), float("nan")]
TEXTS = ["", "\ud800", "\udfff", "a\0b", "../..", "/", "x" * 5000, "sha256:" + "0" * 64, "sha512:x", "a/b:1", "-5", "9" * 5000, "٣", "airseal.bundle/1", "airseal.images.lock/1", "pulled", "linux/amd64"]
scalars = st.none() | st.booleans() | st.sampled_from(NUMBERS) | st.integers() | st.floats() | st.sampled_from(TEXTS) | st.text(max_size=20)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(TEXTS) | st.sampled_from(["kind", "digest", "size", "items"]), inner, max_size=3), max_leaves=8)


def read(name: str, raw: bytes) -> Any:
    """Return the value, or None for the decoder's own error; if there is one form, the value has it. Anything else fails the test."""
    decode, _, encode, errors = DECODERS[name]
    try:
        value = decode(raw)
    except errors as error:
        refused = error
    else:
        # A changed byte may make of it one of the format before, which was not canonical.
        if encode is not None and not (name in {"bundle", "lock"} and json.loads(raw)["format"].endswith("/1")):
            assert encode(value) == raw
        return value
    assert str(refused)
    assert not isinstance(refused, BundleError) or (refused.remedy and len(refused.problem) < 1000)
    return None


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to everything in a document."""
    yield way
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(each, (*way, key))


def put(value: Any, way: tuple[Any, ...], other: Any) -> Any:
    """Return a copy with something else in this place."""
    if not way:
        return other
    changed = copy.deepcopy(value)
    inner = changed
    for key in way[:-1]:
        inner = inner[key]
    inner[way[-1]] = other
    return changed


def spelled(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


@every_decoder
def test_what_is_valid_is_read(name: str) -> None:
    assert read(name, DECODERS[name][1]) is not None


@every_decoder
def test_every_place_holds_something_else(name: str) -> None:
    valid = json.loads(DECODERS[name][1])
    for way in places(valid):
        for other in (*NUMBERS, *TEXTS[:6], None, True, [], {}, [[]], [None], {"a": 1}):
            read(name, spelled(put(valid, way, other)))


@every_decoder
def test_every_place_is_missing_or_there_twice(name: str) -> None:
    _, raw, encode, _ = DECODERS[name]
    valid = json.loads(raw)
    for way in filter(None, places(valid)):
        changed = copy.deepcopy(valid)
        inner = changed
        for key in way[:-1]:
            inner = inner[key]
        del inner[way[-1]]
        read(name, spelled(changed))
    lines = raw.splitlines(keepends=True)
    for number, line in enumerate(lines):
        twice = b"".join([*lines[:number], line.rstrip(b",\n") + b",\n", *lines[number:]])
        value = read(name, twice)
        assert value is None or encode is None or b'": ' not in line  # an element of a list may stand there twice
    for number in range(len(lines) - 1):
        read(name, b"".join([*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]]))


@every_decoder
def test_it_is_deep(name: str) -> None:
    raw = DECODERS[name][1]
    valid = json.loads(raw)
    for depth in (100, 800, 990, 3000, 100_000):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            nested = (opening * depth + "1" + closing * depth).encode()
            read(name, nested)
            read(name, b'{"format": ' + nested + b"}")
            for way in places(valid):
                if len(way) < 4 and depth < 1000:
                    read(name, spelled(put(valid, way, "MARK")).replace(b'"MARK"', nested))


@every_decoder
@EXAMPLES
@given(st.data())
def test_some_places_hold_anything(name: str, data: st.DataObject) -> None:
    changed = json.loads(DECODERS[name][1])
    for _ in range(data.draw(st.integers(1, 3))):
        way = data.draw(st.sampled_from(list(places(changed))))
        changed = put(changed, way, data.draw(values))
    read(name, spelled(changed))


@every_decoder
@EXAMPLES
@given(st.binary(max_size=200) | values.map(spelled) | st.text(max_size=50).map(lambda text: text.encode("utf-16")))
def test_any_bytes(name: str, raw: bytes) -> None:
    read(name, raw)


def changed_bytes(valid: bytes) -> st.SearchStrategy[bytes]:
    """Some bytes of it are others, missing, or more."""

    def change(changes: list[tuple[int, int, bytes]]) -> bytes:
        raw = bytearray(valid)
        for at, count, other in changes:
            raw[at : at + count] = other
        return bytes(raw)

    tokens = st.binary(max_size=4) | st.sampled_from([b"", b'"', b"\\ud800", b"1e999", b"-0", b"NaN", b"Infinity", b"null", b"9" * 4000, b"[" * 2000, b"{}", b"\xff", b"\xff" * 8, b"\0" * 8])
    return st.lists(st.tuples(st.integers(0, len(valid)), st.integers(0, 8), tokens), min_size=1, max_size=4).map(change)


@every_decoder
@EXAMPLES
@given(st.data())
def test_some_bytes_are_others(name: str, data: st.DataObject) -> None:
    read(name, data.draw(changed_bytes(DECODERS[name][1])))


def test_whoever_seals_anything_gets_a_bundle_error(run_file: Path, tmp_path: Path) -> None:
    """Documents with any values in a file whose sums are right: opened, verified and read to the end."""
    chance = random.Random(20_261_128)  # noqa: S311 - the same values each time
    whole = Forged.of(run_file).put(COVERAGE, COVERAGE_1).put(RECEIPT, RECEIPT_1)
    documents = [BUNDLE, LOCK, INDEX, COVERAGE, RECEIPT, OCI_LAYOUT, *(name for name, data in whole.entries.items() if name.startswith("blobs/") and data[:1] == b"{")]
    for _ in range(FORGED):
        forged = copy.deepcopy(whole)
        name = chance.choice(documents)
        value = json.loads(forged.bundle_json() if name == BUNDLE else forged.entries[name])
        for _ in range(chance.randint(1, 2)):
            value = put(value, chance.choice(list(places(value))), chance.choice([*NUMBERS, *TEXTS, None, True, [], {}, [[]], {"a": 1}]))
        if name == BUNDLE:
            forged.raw = spelled(value)
        elif name.startswith("blobs/"):
            replace_blob(forged, name, spelled(value))
        else:
            forged.put(name, spelled(value))
        with suppress(BundleError), Bundle.open(forged.seal(tmp_path / "forged.run")) as bundle:
            bundle.verify()
            _ = bundle.images(), bundle.lock, bundle.coverage, bundle.receipt, bundle.cluster_files(), bundle.content_digest


def replace_blob(forged: Forged, name: str, data: bytes) -> None:
    """Put another blob there, and its digest and size wherever somebody names it."""
    old, size, digest = name.removeprefix("blobs/").replace("/", ":"), len(forged.entries.pop(name)), str(Digest.of(data))
    forged.put(f"blobs/{digest.replace(':', '/')}", data)

    def renamed(text: str) -> str:
        return text.replace(f'"{old}",\n{" " * 4}"size": {size}', f'"{digest}",\n{" " * 4}"size": {len(data)}').replace(old, digest)

    forged.document = json.loads(renamed(json.dumps(forged.document, indent=1)))
    cluster = forged.document["bundle"]["cluster"]
    cluster["size"] = len(data) if cluster["digest"] == digest else cluster["size"]
    for each in (LOCK, INDEX):
        forged.put(each, renamed(forged.entries[each].decode()).encode())
