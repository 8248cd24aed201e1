"""index.json keeps full names, and is the same bytes for the same images."""

from __future__ import annotations

import json

import pytest

from registry_snapshot.errors import ManifestInvalid
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.layout_index import IMAGE_NAME, REF_NAME, layout_index, parse_layout_index

DIGEST = Digest.of(b"x")
ENTRIES = [
    (Reference.parse("quay.io/team/app:1"), Descriptor(OCI_INDEX, DIGEST, 1)),
    (Reference.parse("busybox"), Descriptor(DOCKER_MANIFEST, Digest.of(b"y"), 2)),
    (Reference.parse("docker.io/team/app:1"), Descriptor(OCI_MANIFEST, DIGEST, 1, annotations={"a": "b"}, artifact_type="application/x")),
    (Reference.parse("LOCAL/app:1"), Descriptor(OCI_MANIFEST, Digest.of(b"z", "sha512"), 1)),
    (Reference.parse(f"localhost:5000/app@{DIGEST}"), Descriptor(OCI_MANIFEST, DIGEST, 1)),
]


def test_there_and_back_in_any_order() -> None:
    raw = layout_index(ENTRIES)
    assert layout_index(reversed(ENTRIES)) == raw
    assert parse_layout_index(raw) == tuple(sorted(ENTRIES, key=lambda entry: str(entry[0])))


def test_what_other_tools_read() -> None:
    value = json.loads(layout_index(ENTRIES))
    assert (value["schemaVersion"], value["mediaType"]) == (2, OCI_INDEX)
    assert value["manifests"][1] == {
        "mediaType": DOCKER_MANIFEST,
        "digest": str(Digest.of(b"y")),
        "size": 2,
        "annotations": {IMAGE_NAME: "docker.io/library/busybox:latest", REF_NAME: "docker.io/library/busybox:latest"},
    }


def test_an_empty_layout() -> None:
    assert parse_layout_index(layout_index([])) == ()


@pytest.mark.parametrize("annotations", [{}, {REF_NAME: "latest"}, {REF_NAME: "team/app:1"}])
def test_a_name_that_is_not_full_is_refused(annotations: dict[str, str]) -> None:
    descriptor = {**Descriptor(OCI_MANIFEST, DIGEST, 1).to_json(), "annotations": annotations}
    raw = json.dumps({"schemaVersion": 2, "manifests": [descriptor]}).encode()
    with pytest.raises(ManifestInvalid, match="full name"):
        parse_layout_index(raw)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"manifests": 1}', b"\xff"])
def test_what_is_no_index(raw: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        parse_layout_index(raw)
