"""Format 2 is closed: whoever seals can say a thing in one way only, and nothing that nobody asked for. Format 1 is still read."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from installer_stub.bundle.documents import Needs
from installer_stub.bundle.names import BUNDLE, COVERAGE, INDEX, LOCK, OCI_LAYOUT, RECEIPT, signature_name
from installer_stub.bundle.reader import Bundle
from installer_stub.errors import BundleError
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.layout_index import layout_index
from tests.unit.installer_stub.bundle.forge import Forged

FORMAT_1 = Path(__file__).parents[3] / "fixtures/bundles/format-1.run.zst"
# Of what format 1's own tool said of it: a site that has it installed must know the same content in a newer format.
KEY = f"SHA256:{'A' * 43}"
CONTENT_OF_1 = "sha256:a894a6c2ff3a0924b769812896ab5d31118e26656f1580b05bf0f7e17df5a626"


def complaint(path: Path) -> str:
    """Open and verify, and return what is wrong; empty for nothing."""
    try:
        with Bundle.open(path) as bundle:
            bundle.verify()
    except BundleError as error:
        return error.problem if error.remedy else "no remedy"
    return ""


def test_a_file_that_is_sealed_again_without_a_change_is_whole(run_file: Path, tmp_path: Path) -> None:
    again = Forged.of(run_file).seal(tmp_path / "again.run")
    assert again.read_bytes() == run_file.read_bytes()
    assert complaint(again) == ""


def test_a_bundle_says_what_its_installer_needs(run_file: Path) -> None:
    with Bundle.open(run_file) as bundle:
        assert bundle.document.needs == Needs("x86_64", "2.17", "3.10")


def _member(forged: Forged) -> None:
    forged.document["note"] = "more"


def _member_of_the_bundle(forged: Forged) -> None:
    forged.document["bundle"]["note"] = "more"


def _member_of_a_part(forged: Forged) -> None:
    forged.raw = forged.bundle_json().replace(b'"size": 30', b'"size": 30, "note": 1')


def _blanks(forged: Forged) -> None:
    forged.raw = forged.bundle_json() + b" " * 5000


def _twice(forged: Forged) -> None:
    forged.raw = forged.bundle_json().replace(b'"name": "shop"', b'"name": "evil",\n  "name": "shop"')


def _in_another_order(forged: Forged) -> None:
    value = json.loads(forged.bundle_json())
    value["blobs"] = dict(reversed(value["blobs"].items()))
    forged.raw = json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def _a_number_as_text(forged: Forged) -> None:
    forged.raw = forged.bundle_json().replace(b'"size": 30', b'"size": "30"')


def _a_float(forged: Forged) -> None:
    forged.raw = forged.bundle_json().replace(b'"size": 30', b'"size": 30.0')


def _escapes(forged: Forged) -> None:
    forged.raw = forged.bundle_json().replace("ü".encode(), rb"\u00fc")


def _annotation(forged: Forged) -> None:
    value = json.loads(forged.entries[INDEX])
    value["annotations"] = {"note": "x" * 100_000}
    forged.put(INDEX, json.dumps(value, indent=1).encode() + b"\n")


def _annotation_of_an_image(forged: Forged) -> None:
    value = json.loads(forged.entries[INDEX])
    value["manifests"][1]["annotations"]["note"] = "x"
    forged.put(INDEX, json.dumps(value, indent=1).encode() + b"\n")


def _an_image_more(forged: Forged) -> None:
    value = json.loads(forged.entries[INDEX])
    copy = json.loads(json.dumps(value["manifests"][1]).replace("busybox", "bosybux"))
    value["manifests"].insert(2, copy)
    forged.put(INDEX, json.dumps(value, indent=1).encode() + b"\n")


def _layout(forged: Forged) -> None:
    forged.put(OCI_LAYOUT, b'{"imageLayoutVersion":"1.0.0","note":1}')


def _document(forged: Forged) -> None:
    forged.put("airseal/anything.bin", b"payload")


def _entry(forged: Forged) -> None:
    forged.put("setup.sh", b"#!/bin/sh\n")


def _two_locks(forged: Forged) -> None:
    forged.put(LOCK, forged.entries[LOCK] + b"\n")


def _lock_of_before(forged: Forged) -> None:
    value = json.loads(forged.entries[LOCK])
    images = [{**image, "reasons": ["payload"]} for image in value["images"]]
    forged.put(LOCK, json.dumps({"format": "airseal.images.lock/1", "images": images, "note": "x" * 1000}).encode())


def _size_in_the_lock(forged: Forged) -> None:
    forged.put(LOCK, forged.entries[LOCK].replace(b'"size": 50496', b'"size": 50497'))


def _digests_in_the_lock(forged: Forged) -> None:
    value = json.loads(forged.entries[LOCK])
    value["images"][0]["digests"] = [f"sha256:{'0' * 64}"]
    forged.put(LOCK, json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n")


def _cluster_files_as_an_image(forged: Forged) -> None:
    value = json.loads(forged.entries[LOCK])
    cluster = {**value["images"][0], "reference": "airseal.internal/cluster/shop:1.4.0", "descriptor": forged.document["bundle"]["cluster"]}
    value["images"].insert(0, cluster)
    forged.put(LOCK, json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n")


def _no_command(forged: Forged) -> None:
    forged.document["bundle"]["commands"].append({"argv": [], "line": 0})


def _environment(forged: Forged) -> None:
    forged.document["bundle"]["environment"]["A=B"] = "c"


def _platform_twice(forged: Forged) -> None:
    forged.document["bundle"]["platforms"] *= 2


def _images_size(forged: Forged) -> None:
    forged.document["bundle"]["imagesSize"] += 1


def _files_size(forged: Forged) -> None:
    forged.document["bundle"]["filesSize"] -= 1


def _machine(forged: Forged) -> None:
    forged.document["needs"]["machine"] = "aarch64"


def _other_program(forged: Forged) -> None:
    forged.bootloader = forged.bootloader[:18] + struct.pack("<H", 183) + forged.bootloader[20:]
    forged.document["needs"]["machine"] = "aarch64"


def _a_script(forged: Forged) -> None:
    forged.bootloader = b"#!/bin/sh\n".ljust(len(forged.bootloader), b"#")


def _not_a_signature(forged: Forged) -> None:
    forged.signatures["airseal/signatures/" + "0" * 64 + ".sig"] = b"hello"


def _a_signature_that_is_none(forged: Forged) -> None:
    forged.document["publishers"] = [KEY]
    forged.signatures[signature_name(KEY)] = b"hello"


def _a_large_signature(forged: Forged) -> None:
    forged.document["publishers"] = [KEY]
    forged.signatures[signature_name(KEY)] = b"h" * 20_000


def _no_signature(forged: Forged) -> None:
    forged.document["publishers"] = [KEY]


def _many_publishers(forged: Forged) -> None:
    forged.document["publishers"] = [f"SHA256:{number}{'A' * 42}" for number in range(9)]


def _a_publisher_twice(forged: Forged) -> None:
    forged.document["publishers"] = [KEY, KEY]


def _a_publisher_with_another_spelling(forged: Forged) -> None:
    forged.document["publishers"] = [f"{KEY[:-1]}B"]


def _receipt(forged: Forged) -> None:
    forged.put(RECEIPT, b"{}\n")


def _coverage(forged: Forged) -> None:
    forged.put(COVERAGE, b'{"format": "airseal.coverage/1"}')


FORGERIES: dict[Callable[[Forged], None], str] = {
    _member: "bundle.json says more, or in another way",
    _member_of_the_bundle: "bundle.json says more, or in another way",
    _member_of_a_part: "bundle.json says more, or in another way",
    _blanks: "bundle.json says more, or in another way",
    _twice: "bundle.json says more, or in another way",
    _in_another_order: "bundle.json says more, or in another way",
    _a_number_as_text: "bundle.json says more, or in another way",
    _a_float: "bundle.json says more, or in another way",
    _escapes: "bundle.json says more, or in another way",
    _annotation: "index.json says more, or in another way, than airseal/images.lock.json",
    _annotation_of_an_image: "index.json says more, or in another way, than airseal/images.lock.json",
    _an_image_more: "docker.io/library/bosybux:1.36 is in index.json, and airseal/images.lock.json does not say why",
    _layout: "oci-layout says more",
    _document: "lists other parts than a bundle has: ['airseal/anything.bin']",
    _entry: "lists other parts than a bundle has: ['setup.sh']",
    _two_locks: "images.lock.json says more",
    _lock_of_before: "images.lock.json is of an older format",
    _size_in_the_lock: "has 50496 bytes, airseal/images.lock.json says 50497",
    _digests_in_the_lock: "can be called by other digests than",
    _cluster_files_as_an_image: "names of airseal.internal are the bundle's own",
    _no_command: "one of its commands is none",
    _environment: "its environment has what no environment can have",
    _platform_twice: "its platforms are none, or are said twice",
    _images_size: "its images have",
    _files_size: "its cluster files have 90627 bytes, not 90626",
    _machine: "its installer is a program for x86_64, not for aarch64 and linux/amd64",
    _other_program: "its installer is a program for aarch64, not for aarch64 and linux/amd64",
    _a_script: "its installer is a program for no machine that we know",
    _not_a_signature: "it holds signatures that nobody was to make",
    _a_signature_that_is_none: "is not right: this is no SSH signature",
    _a_large_signature: "has 20000 bytes, and none has more than",
    _no_signature: f"the signature of {KEY} was taken out of it",
    _many_publishers: "names publishers that are none",
    _a_publisher_twice: "names publishers that are none",
    _a_publisher_with_another_spelling: "names publishers that are none",
    _receipt: "rehearsal.json is malformed",
    _coverage: "coverage.json is malformed",
}


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda each: each.__name__.strip("_"))
def test_who_seals_can_say_nothing_else(run_file: Path, tmp_path: Path, forgery: Callable[[Forged], None]) -> None:
    forged = Forged.of(run_file)
    forgery(forged)
    assert FORGERIES[forgery] in complaint(forged.seal(tmp_path / "forged.run"))


def test_a_newer_format_is_refused_in_words(run_file: Path, tmp_path: Path) -> None:
    forged = Forged.of(run_file)
    forged.document["format"] = "airseal.bundle/3"
    with pytest.raises(BundleError, match=r"has the format 'airseal.bundle/3', this program reads 'airseal.bundle/2'") as caught:
        Bundle.open(forged.seal(tmp_path / "newer.run"))
    assert "get an airseal at least as new" in caught.value.remedy


def format_1(directory: Path) -> Path:
    """Unpack what a tool of format 1 sealed."""
    path = directory / "old.run"
    path.write_bytes(zstandard.ZstdDecompressor().decompress(FORMAT_1.read_bytes(), max_output_size=1 << 20))
    return path


def test_a_file_of_format_1_is_read_and_verified(tmp_path: Path, run_file: Path) -> None:
    with Bundle.open(format_1(tmp_path)) as old, Bundle.open(run_file) as new:
        old.verify()
        assert not old.document.is_closed
        assert (old.info.title, old.images(), old.cluster_files()) == (new.info.title, new.images(), new.cluster_files())
        assert old.receipt is not None
        assert str(old.content_digest) == CONTENT_OF_1


def test_a_file_of_format_1_has_no_signatures(tmp_path: Path) -> None:
    forged = Forged.of(format_1(tmp_path))
    forged.signatures["airseal/signatures/" + "0" * 64 + ".sig"] = b"hello"
    assert "it holds signatures that nobody was to make" in complaint(forged.seal(tmp_path / "signed.run"))


def test_an_image_under_two_names_counts_once(run_file: Path, tmp_path: Path) -> None:
    forged = Forged.of(run_file)
    with Bundle.open(run_file) as bundle:
        roots, lock = dict(bundle.roots), json.loads(bundle.read(LOCK))
    first = lock["images"][0]
    lock["images"].insert(1, {**first, "reference": f"{first['reference']}-b"})
    roots[Reference.parse(f"{first['reference']}-b")] = roots[Reference.parse(first["reference"])]
    forged.put(LOCK, json.dumps(lock, indent=1, ensure_ascii=False).encode() + b"\n").put(INDEX, layout_index(roots.items()))
    assert complaint(forged.seal(tmp_path / "two.run")) == ""
    assert BUNDLE not in forged.entries
