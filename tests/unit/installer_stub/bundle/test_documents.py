"""What a bundle's documents cannot say, whatever the rest of the file is: refused when they are read, by opening and by verifying."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from installer_stub.bundle.names import LOCK, PACKAGE, RECEIPT
from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.reasons import Gone, Reason, Recorded, Scanned, in_order
from installer_stub.errors import BundleError
from registry_snapshot.oci.digest import Digest
from tests.unit.installer_stub.bundle.forge import Forged
from tests.unit.installer_stub.bundle.test_format import complaint


def _name(forged: Forged) -> None:
    forged.document["bundle"]["name"] = "../../etc"


def _long_name(forged: Forged) -> None:
    forged.document["bundle"]["name"] = "a" * 101


def _name_of_no_repository(forged: Forged) -> None:
    forged.document["bundle"]["name"] = "a..b"


def _version(forged: Forged) -> None:
    forged.document["bundle"]["version"] = "1/../../../etc/cron.d/x"


def _platform(forged: Forged) -> None:
    forged.document["bundle"]["platforms"] = ["linux/amd64", "linux"]


def _no_cluster_files(forged: Forged) -> None:
    digest = forged.document["bundle"]["cluster"]["digest"]
    del forged.entries[f"blobs/{digest.replace(':', '/')}"]


def _cluster_of_another_size(forged: Forged) -> None:
    forged.document["bundle"]["cluster"]["size"] += 1


def _more_of_the_cluster(forged: Forged) -> None:
    forged.document["bundle"]["cluster"]["annotations"] = {"note": "x"}


def _negative(forged: Forged) -> None:
    forged.document["bundle"]["imagesUnpackedSize"] = -1


def _large(forged: Forged) -> None:
    forged.document["bundle"]["filesSize"] = 10**400


def _all_together_too_large(forged: Forged) -> None:
    value = json.loads(forged.bundle_json())
    value["parts"][PACKAGE]["size"] = 2**62
    value["parts"]["index.json"]["size"] = 2**62
    forged.raw = json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def _other_digest(forged: Forged) -> None:
    value = json.loads(forged.bundle_json())
    value["parts"][PACKAGE]["digest"] = str(Digest.of(forged.entries[PACKAGE], "sha512"))
    forged.raw = json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def _half_a_pair(forged: Forged) -> None:
    forged.raw = forged.bundle_json().replace("Müller".encode(), rb"\ud800")


def _image_twice(forged: Forged) -> None:
    lock = json.loads(forged.entries[LOCK])
    lock["images"].insert(0, {**lock["images"][0], "reasons": [{"kind": "pulled"}]})
    forged.put(LOCK, json.dumps(lock, indent=1, ensure_ascii=False).encode() + b"\n")


def _digest_twice(forged: Forged) -> None:
    lock = json.loads(forged.entries[LOCK])
    lock["images"][0]["digests"] *= 2
    forged.put(LOCK, json.dumps(lock, indent=1, ensure_ascii=False).encode() + b"\n")


def _newer_receipt(forged: Forged) -> None:
    forged.put(RECEIPT, b'{\n "format": "airseal.rehearsal/2"\n}\n')


IMPOSSIBLE: dict[Callable[[Forged], None], str] = {
    _name: "'../../etc:1.4.0' is not NAME:VERSION",
    _long_name: "is not NAME:VERSION",
    _name_of_no_repository: "airseal.internal/cluster/a..b is not a repository",
    _version: "is not NAME:VERSION",
    _platform: "'linux' is not a platform",
    _no_cluster_files: "lists no blob with the cluster files",
    _cluster_of_another_size: "lists no blob with the cluster files",
    _more_of_the_cluster: "says more of the cluster files than it has to",
    _negative: "a number is below zero",
    _large: "a number is below zero, or larger than anything has",
    _all_together_too_large: "lists more bytes than any file has",
    _other_digest: "names a part by another digest than SHA-256",
    _half_a_pair: "surrogates not allowed",
    _image_twice: "images.lock.json says more",
    _digest_twice: "images.lock.json says more",
    _newer_receipt: "has the format 'airseal.rehearsal/2', this program reads 'airseal.rehearsal/1'",
}


@pytest.mark.parametrize("forgery", IMPOSSIBLE, ids=lambda each: each.__name__.strip("_"))
def test_what_cannot_be_is_refused_in_words(run_file: Path, tmp_path: Path, forgery: Callable[[Forged], None]) -> None:
    forged = Forged.of(run_file)
    forgery(forged)
    assert IMPOSSIBLE[forgery] in complaint(forged.seal(tmp_path / "forged.run"))


def test_the_list_of_cluster_files_has_one_form(run_file: Path, tmp_path: Path) -> None:
    forged = Forged.of(run_file)
    cluster = forged.document["bundle"]["cluster"]
    value = json.loads(forged.entries.pop(f"blobs/{cluster['digest'].replace(':', '/')}"))
    raw = json.dumps({**value, "annotations": {"note": "x" * 1000}}, indent=1, ensure_ascii=False).encode() + b"\n"
    cluster |= {"digest": str(Digest.of(raw)), "size": len(raw)}
    forged.put(f"blobs/{cluster['digest'].replace(':', '/')}", raw)
    with Bundle.open(forged.seal(tmp_path / "forged.run")) as bundle, pytest.raises(BundleError, match="the manifest of the cluster files says more"):
        bundle.cluster_files()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Recorded("a/b", "c, container d"), Recorded("a/b, container c", "d")),
        (Gone("a", "b/c"), Gone("a/b", "c")),
        (Scanned("a", "b, at c"), Scanned("a, at b", "c")),
    ],
)
def test_reasons_that_read_the_same_have_one_order(first: Reason, second: Reason) -> None:
    assert str(first) == str(second)
    assert in_order((first, second)) == in_order((second, first)) == (first, second)
