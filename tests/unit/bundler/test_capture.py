"""A recording is complete or it is none."""

from __future__ import annotations

from typing import Any

import pytest

from bundler.capture import check_coverage, unasked
from bundler.cluster.usage import usage
from bundler.errors import RecordingIncomplete
from installer_stub.bundle.model import ImageLock, LockedImage
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_INDEX
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.snapshot import RecordedImage, Snapshot

INDEX, CHILD, OTHER = (Digest.of(name) for name in (b"index", b"child", b"other"))
DESCRIPTOR = Descriptor(OCI_INDEX, INDEX, 5)


def lock(*names: str) -> ImageLock:
    return ImageLock(tuple(LockedImage(Reference.parse(name), DESCRIPTOR, (INDEX, CHILD), ()) for name in names))


def pod(image: str, image_id: str) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"name": "api", "namespace": "shop", "uid": "u"},
        "spec": {"containers": [{"name": "c", "image": image}]},
        "status": {"containerStatuses": [{"name": "c", "image": image, "imageID": image_id}]},
    }


@pytest.mark.parametrize("digest", [INDEX, CHILD])
def test_what_runs_was_recorded(digest: Digest) -> None:
    pods = [pod("busybox:1.36", f"docker.io/library/busybox@{digest}")]
    check_coverage(pods, usage(pods, ()), lock("busybox:1.36"))


@pytest.mark.parametrize(
    ("image", "image_id", "words"),
    [
        ("busybox:1.37", f"docker.io/library/busybox@{INDEX}", "docker.io/library/busybox:1.37: Pod shop/api, container c"),
        ("busybox:1.36", f"docker.io/library/busybox@{OTHER}", "pod shop/api, container c: busybox:1.36"),
        ("Not An Image", f"docker.io/library/busybox@{INDEX}", "no image reference"),
    ],
)
def test_what_was_not_is_a_bug_and_stops_the_build(image: str, image_id: str, words: str) -> None:
    pods = [pod(image, image_id)]
    with pytest.raises(RecordingIncomplete, match=words) as caught:
        check_coverage(pods, usage(pods, ()), lock("busybox:1.36"))
    assert "bug of airseal" in caught.value.remedy


def test_a_digest_that_the_host_had_already_is_added() -> None:
    """Seen: a host that pulled busybox:1.36 never asks for busybox@sha256:… of the same content."""
    pods = [pod(f"busybox@{INDEX}", f"docker.io/library/busybox@{INDEX}"), pod("nginx:1", "")]
    snapshot = Snapshot((RecordedImage(Reference.parse("busybox:1.36"), DESCRIPTOR),))
    added = unasked(usage(pods, ()), snapshot)
    assert [str(reference) for _, reference in added] == [f"docker.io/library/busybox@{INDEX}"]
