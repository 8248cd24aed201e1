"""Every container's image is one of the sealed ones: same repository, same digest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from installer_stub.bundle.model import ImageLock, LockedImage
from installer_stub.bundle.reasons import Recorded
from installer_stub.errors import NotAccepted
from installer_stub.kube.acceptance import Accepted, accept, running_images
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference

INDEX, MANIFEST, CONFIG, OTHER = (Digest.of(text) for text in (b"index", b"manifest", b"config", b"other"))
MEDIA = "application/vnd.oci.image.index.v1+json"


def locked(reference: str, *digests: Digest) -> LockedImage:
    return LockedImage(Reference.parse(reference), Descriptor(MEDIA, digests[0], 1), digests, (Recorded("Deployment shop/web", "web"),))


LOCK = ImageLock((locked("docker.io/library/web:1", INDEX, MANIFEST, CONFIG), locked("quay.io/team/tool:2", OTHER)))


def pod(image: str, image_id: str, *, field: str = "container", reported: str | None = None) -> dict[str, Any]:
    spec_field = {"initContainer": "initContainers", "container": "containers", "ephemeralContainer": "ephemeralContainers"}[field]
    return {
        "metadata": {"name": "web-1", "namespace": "shop"},
        "spec": {spec_field: [{"name": "app", "image": image}]},
        "status": {f"{field}Statuses": [{"name": "app", "image": reported or image, "imageID": image_id}]},
    }


@pytest.mark.parametrize(
    ("image", "image_id"),
    [
        ("web:1", f"docker.io/library/web@{INDEX}"),
        ("web:1", f"docker.io/library/web@{MANIFEST}"),  # a runtime may report the platform's manifest
        ("docker.io/library/web:1", str(CONFIG)),  # or the config alone
        (f"web@{INDEX}", f"docker.io/library/web@{INDEX}"),
        ("web:1", f"docker-pullable://docker.io/library/web@{INDEX}"),
        ("web:other-tag-same-content", f"docker.io/library/web@{INDEX}"),
        ("mirror.corp/copy/web:1", f"docker.io/library/web@{INDEX}"),  # one content, named by another repository it has
    ],
)
@pytest.mark.parametrize("field", ["container", "initContainer", "ephemeralContainer"])
def test_sealed_images_are_accepted(image: str, image_id: str, field: str) -> None:
    assert accept([pod(image, image_id, field=field)], LOCK) == Accepted(pods=1, containers=1, images=1)


@pytest.mark.parametrize(
    ("image", "image_id"),
    [
        ("web:1", f"docker.io/library/web@{Digest.of(b'unknown')}"),  # the tag moved
        ("web:1", f"docker.io/library/web@{OTHER}"),  # sealed, but as another repository
        ("quay.io/team/web:1", f"quay.io/team/web@{INDEX}"),  # the same path on another registry
        ("ghcr.io/stranger/tool:1", f"ghcr.io/stranger/tool@{OTHER}"),
        ("web:1", "docker.io/library/web:1"),  # no digest at all
        ("web:1", "docker.io/library/web@sha256:short"),
    ],
)
@pytest.mark.parametrize("field", ["container", "initContainer", "ephemeralContainer"])
def test_others_are_not_and_are_named(image: str, image_id: str, field: str) -> None:
    with pytest.raises(NotAccepted, match=r"pod shop/web-1, container app") as caught:
        accept([pod(image, image_id, field=field)], LOCK)
    assert image in caught.value.problem


def test_all_strangers_are_named_at_once() -> None:
    pods = [pod("a:1", f"docker.io/library/a@{OTHER}"), pod("b:1", f"docker.io/library/b@{OTHER}"), pod("web:1", str(INDEX))]
    with pytest.raises(NotAccepted, match=r"^2 containers") as caught:
        accept(pods, LOCK)
    assert "a:1" in caught.value.problem
    assert "b:1" in caught.value.problem


def test_a_container_that_has_no_image_yet_is_settlings_business() -> None:
    assert accept([pod("web:1", "")], LOCK) == Accepted(0, 0, 0)


def test_an_empty_lock_accepts_nothing() -> None:
    with pytest.raises(NotAccepted):
        accept([pod("web:1", str(INDEX))], ImageLock(()))


def recorded() -> list[dict[str, Any]]:
    items = json.loads((Path(__file__).parent / "recorded" / "cluster.json").read_text())["items"]
    return [item for item in items if item["kind"] == "Pod"]


def test_a_real_cluster_is_accepted_by_its_own_lock_and_by_no_smaller_one() -> None:
    images = running_images(recorded())
    assert {"etcd", "coredns", "install-cni", "kube-proxy", "kube-apiserver"} <= {image.container for image in images}
    pairs = {(next(iter(image.repositories)), image.digest) for image in images}
    lock = tuple(
        LockedImage(Reference(repository, "x", None), Descriptor(MEDIA, digest, 1), (digest,), ())
        for repository, digest in pairs
        if digest is not None
    )
    figures = accept(recorded(), ImageLock(lock))
    assert figures.containers == len(images)
    assert figures.images == len({digest for _, digest in pairs})
    for left_out in range(len(lock)):
        with pytest.raises(NotAccepted):
            accept(recorded(), ImageLock(lock[:left_out] + lock[left_out + 1 :]))
