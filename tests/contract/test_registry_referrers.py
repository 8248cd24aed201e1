"""What refers to a manifest: signatures, bills of materials. distribution-spec, "Listing Referrers"."""

from __future__ import annotations

import json

import pytest

from registry_snapshot.oci.media_types import OCI_INDEX, OCI_MANIFEST
from tests.contract.conftest import Ask, Shelf
from tests.unit.registry_snapshot.artifacts import SBOM, SIGNATURE
from tests.unit.registry_snapshot.images import absent_digest

HELM = "application/vnd.cncf.helm.config.v1+json"


def expected(shelf: Shelf) -> dict[str, dict[str, object]]:
    """Return what the specification says of each: artifactType, else the config's type; for an index nothing; annotations."""
    more: dict[str, dict[str, object]] = {
        "signature": {"artifactType": SIGNATURE, "annotations": {"a": "ä", "by": "team"}},
        "sbom": {"artifactType": SBOM},
        "image-referrer": {"artifactType": HELM},
        "index-referrer": {"annotations": {"kind": "list"}},
    }
    plain = {name: shelf.others[name] for name in more}
    return {
        name: {"mediaType": part.media_type, "digest": str(part.digest), "size": part.size, **more[name]} for name, part in plain.items()
    }


def asked(ask: Ask, shelf: Shelf, query: str = "") -> tuple[str | None, list[dict[str, object]]]:
    answer = ask("GET", f"/v2/odd/subject/referrers/{shelf.others['subject'].digest}?ns=quay.io{query}")
    assert (answer.status, answer.header("Content-Type"), answer.header("OCI-Namespace")) == (200, OCI_INDEX, "quay.io")
    value = json.loads(answer.body)
    assert (value["schemaVersion"], value["mediaType"]) == (2, OCI_INDEX)
    return answer.header("OCI-Filters-Applied"), value["manifests"]


def test_all_are_listed_tagged_or_not_with_type_and_annotations(ask: Ask, shelf: Shelf) -> None:
    filtered, manifests = asked(ask, shelf)
    assert filtered is None
    assert sorted(manifests, key=str) == sorted(expected(shelf).values(), key=str)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (f"&artifactType={SIGNATURE}", ["signature"]),
        ("&artifactType=application%2Fvnd.example.sbom.v1%2Bjson", ["sbom"]),
        (f"&artifactType={SBOM}", ["sbom"]),  # a plus that somebody did not encode
        (f"&artifactType={HELM.replace('+', '%2B')}", ["image-referrer"]),
        ("&artifactType=application/nothing", []),
    ],
)
def test_a_filter_is_applied_and_said(ask: Ask, shelf: Shelf, query: str, names: list[str]) -> None:
    wanted = [expected(shelf)[name] for name in names]
    assert asked(ask, shelf, query) == ("artifactType", wanted)


def test_an_empty_filter_is_none(ask: Ask, shelf: Shelf) -> None:
    filtered, manifests = asked(ask, shelf, "&artifactType=")
    assert (filtered, len(manifests)) == (None, 4)


@pytest.mark.parametrize("name", ["odd/subject", "odd/signature", "team/app"])
def test_none_is_an_empty_index_and_not_404(ask: Ask, name: str) -> None:
    """With 404 a client goes on to ask for the tag sha256-… of each image."""
    answer = ask("GET", f"/v2/quay.io/{name}/referrers/{absent_digest()}")
    assert (answer.status, json.loads(answer.body)["manifests"]) == (200, [])


def test_a_referrer_can_be_pulled(ask: Ask, shelf: Shelf) -> None:
    for descriptor in asked(ask, shelf)[1]:
        accept = ("Accept", f"{OCI_MANIFEST}, {OCI_INDEX}")
        answer = ask("GET", f"/v2/odd/subject/manifests/{descriptor['digest']}?ns=quay.io", accept)
        assert (answer.status, answer.header("Docker-Content-Digest")) == (200, descriptor["digest"])
