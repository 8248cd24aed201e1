"""Referrers are listed over all pages; a registry without that API keeps them under a tag, or has none."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from registry_snapshot.errors import ManifestInvalid, RegistryError, UpstreamError, UpstreamUnauthorized
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Repository
from registry_snapshot.serve.messages import Request, Response
from tests.fakes.raw_upstream import End, Piece
from tests.unit.registry_snapshot.record.conftest import Dial
from tests.unit.registry_snapshot.record.faults import Fault, Site, for_ever, says

APP = Repository.of("docker.io", "team/app")
SUBJECT = Digest.of(b"subject")
PATH = f"/v2/team/app/referrers/{SUBJECT}"
SBOM = Descriptor(
    media_types.OCI_MANIFEST, Digest.of(b"sbom"), 700, annotations={"made": "today"}, artifact_type="application/spdx+json"
)
SIGNATURE = Descriptor(media_types.OCI_MANIFEST, Digest.of(b"signature"), 800, artifact_type="application/x.signature")


def index(*descriptors: Descriptor) -> bytes:
    manifests = [descriptor.to_json() for descriptor in descriptors]
    return json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": manifests}).encode()


def lists(body: bytes, *headers: tuple[str, str], kind: str = media_types.OCI_INDEX) -> Fault:
    return says(200, ("Content-Type", kind), *headers, body=body)


NOT_THERE = says(404)


def pages(table: dict[str, Fault]) -> Fault:
    """Answer by path and query."""

    def fault(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
        query = "".join(f"?{name}={value}" for name, value in request.query.items())
        return table.get(request.path + query, NOT_THERE)(site, request, answer)

    return fault


def test_all_pages_are_followed_with_the_login_of_the_registry(site: Site, dial: Dial) -> None:
    remote = dial(
        pages(
            {
                PATH: lists(index(SBOM), ("Link", f'<{PATH}?page=2>; rel="next"')),
                f"{PATH}?page=2": lists(index(), ("Link", '<?page=3>; rel="next"')),
                f"{PATH}?page=3": lists(index(SIGNATURE), ("Link", f'<{PATH}>; rel="first"')),
            }
        )
    )
    assert remote.referrers(APP, SUBJECT) == (SBOM, SIGNATURE)
    assert {request.headers.get("Accept") for request in site.raw.requests} == {media_types.OCI_INDEX}


def test_nothing_is_an_empty_tuple(dial: Dial) -> None:
    assert dial(pages({PATH: lists(index())})).referrers(APP, SUBJECT) == ()
    assert dial(says(404)).referrers(APP, SUBJECT) == ()


@pytest.mark.parametrize(
    "no_api",
    [says(404), says(400), says(405), says(406), says(200, body=b"<html>"), lists(b"{}", kind="application/json")],
    ids=["404", "400", "405", "406", "a page", "JSON"],
)
def test_a_registry_without_the_api_is_asked_for_the_tag(site: Site, dial: Dial, no_api: Fault) -> None:
    tag = f"/v2/team/app/manifests/sha256-{SUBJECT.encoded}"
    assert dial(pages({PATH: no_api, tag: lists(index(SBOM))})).referrers(APP, SUBJECT) == (SBOM,)
    assert [request.path for request in site.raw.requests] == [PATH, tag]


def test_of_a_long_digest_the_tag_has_64_digits(site: Site, dial: Dial) -> None:
    long = Digest.of(b"x", "sha512")
    assert dial(says(404)).referrers(APP, long) == ()
    assert site.raw.requests[1].path == f"/v2/team/app/manifests/sha512-{long.encoded[:64]}"


def test_a_tag_that_is_no_list_lists_nothing(dial: Dial) -> None:
    image = {"schemaVersion": 2, "config": SBOM.to_json(), "layers": []}
    tag = lists(json.dumps(image).encode(), kind=media_types.OCI_MANIFEST)
    assert dial(pages({f"/v2/team/app/manifests/sha256-{SUBJECT.encoded}": tag})).referrers(APP, SUBJECT) == ()


def test_failures_that_pass_are_waited_out(site: Site, dial: Dial) -> None:
    def fault(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
        bad = {1: says(429, ("Retry-After", "9")), 2: says(500), 3: lambda *_: iter([End.RESET])}
        return bad.get(site.turn, lists(index(SBOM)))(site, request, answer)

    assert dial(fault).referrers(APP, SUBJECT) == (SBOM,)


def elsewhere(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
    return lists(index(SBOM), ("Link", f'<{site.elsewhere.url}{PATH}>; rel="next"'))(site, request, answer)


def endless(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
    return lists(index(SBOM), ("Link", f'<{PATH}?page={site.turn}>; rel="next"'))(site, request, answer)


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (elsewhere, UpstreamError, "pages that do not end, or elsewhere"),
        (endless, UpstreamError, "pages that do not end, or elsewhere"),
        (lists(index(SBOM), ("Link", f'<{PATH}>; rel="next"')), UpstreamError, "pages that do not end, or elsewhere"),
        (lists(index(SBOM), ("Link", '<http://[>; rel="next"')), UpstreamError, "pages that do not end, or elsewhere"),
        (says(401), UpstreamUnauthorized, "HTTP 401"),
        (says(500), UpstreamError, "HTTP 500"),
        (lists(b"nonsense"), ManifestInvalid, "not JSON"),
        (lists(b'{"manifests": [{}]}'), ManifestInvalid, "lacks mediaType or digest"),
        (lists(b'{"manifests": [{"mediaType": "x", "digest": "y", "size": 1}]}'), ManifestInvalid, "not a digest"),
        (lists(b" " * 5_000_000), ManifestInvalid, "more than 4194304 bytes"),
    ],
    ids=["another host", "endless", "a circle", "no URL", "401", "500", "no JSON", "no descriptor", "no digest", "5 MB"],
)
def test_what_cannot_be_listed_is_named(site: Site, dial: Dial, fault: Fault, kind: type[RegistryError], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        dial(fault).referrers(APP, SUBJECT)
    assert f"the referrers of {APP}@{SUBJECT}" in caught.value.problem
    assert caught.value.remedy
    assert site.elsewhere.requests == []


def test_an_endless_page_has_an_end(dial: Dial) -> None:
    head = f"HTTP/1.1 200 X\r\nContent-Type: {media_types.OCI_INDEX}\r\n\r\n".encode()
    with pytest.raises(ManifestInvalid, match="more than 4194304 bytes"):
        dial(for_ever(head, b"x" * 65536)).referrers(APP, SUBJECT)


