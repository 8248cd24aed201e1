"""The lock: typed reasons, one canonical form, and what older bundles said in words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from installer_stub.bundle.documents import decode_lock, encode_lock
from installer_stub.bundle.model import ImageLock, LockedImage
from installer_stub.bundle.reasons import (
    Attached,
    Gone,
    Listed,
    Pulled,
    Reason,
    Recorded,
    Scanned,
    is_attached,
    reason_of_text,
)
from installer_stub.errors import BundleError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_INDEX
from registry_snapshot.oci.reference import Reference

ROOT = Descriptor(OCI_INDEX, Digest.of(b"index"), 5)
REASONS: tuple[Reason, ...] = (
    Recorded("Deployment shop/api", "api"),
    Gone("storage", "helper-…"),
    Scanned("CronJob shop/nightly", "spec.jobTemplate.spec.template.spec.containers[main].image"),
    Listed("images.d/gpu.txt:3"),
    Pulled(),
    Attached("signature", "quay.io/a/b@sha256:…"),
)


def locked(name: str, *reasons: Reason) -> LockedImage:
    return LockedImage(Reference.parse(name), ROOT, (ROOT.digest,), reasons, 1234)


LOCK = ImageLock((locked("a/b:1", *REASONS), locked("quay.io/a/b:1", Listed("images.txt:1"))))


def test_what_is_only_attached() -> None:
    attached = Attached("SBOM", "x")
    assert is_attached([attached])
    assert not is_attached([attached, Pulled()])
    assert not is_attached([])
    assert str(attached) == "SBOM of x"


def test_there_and_back_in_whatever_order_it_was_made() -> None:
    raw = encode_lock(LOCK)
    assert decode_lock(raw) == LOCK
    assert encode_lock(ImageLock((locked("quay.io/a/b:1", Listed("images.txt:1")), locked("a/b:1", *REASONS[::-1], REASONS[0])))) == raw


def changed(**more: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(encode_lock(LOCK))
    value["images"][0] |= more
    return value


@pytest.mark.parametrize(
    "value",
    [
        changed(comment="belongs to nothing"),
        changed(size="1234"),
        changed(size=1234.0),
        changed(reasons=[{"kind": "guessed"}]),
        changed(reasons=[{"kind": "pulled", "by": "x"}]),
        changed(reasons=[{"kind": "listed", "where": 3}]),
        changed(reasons=[{"kind": "pulled"}, {"kind": "pulled"}]),
        changed(reasons="pulled"),
        {**changed(), "more": 1},
        {"format": "airseal.images.lock/2", "images": json.loads(encode_lock(LOCK))["images"][::-1]},
        {"format": "airseal.images.lock/3", "images": []},
    ],
)
def test_nothing_but_the_canonical_form_is_read(value: Any) -> None:
    with pytest.raises(BundleError, match=r"images\.lock\.json"):
        decode_lock(json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n")


def test_blanks_are_no_part_of_it() -> None:
    with pytest.raises(BundleError, match="says more"):
        decode_lock(encode_lock(LOCK) + b" ")


def test_what_older_bundles_said_in_words() -> None:
    images = [{"reference": "docker.io/a/b:1", "descriptor": ROOT.to_json(), "digests": [], "reasons": [str(each) for each in REASONS if not isinstance(each, (Scanned, Attached))]}]
    (image,) = decode_lock(json.dumps({"format": "airseal.images.lock/1", "images": images}).encode()).images
    assert set(image.reasons) == {each for each in REASONS if not isinstance(each, (Scanned, Attached))}
    assert reason_of_text("load balancer of the nodes") == Listed("load balancer of the nodes")
