"""What a request's headers ask for: media types, parts of content, and nothing if nothing has changed. RFC 9110."""

from __future__ import annotations

import pytest

from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.contract.conftest import Ask, Shelf
from tests.unit.registry_snapshot.images import noise


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((), 200),
        (("",), 200),
        (("*/*",), 200),
        (("*",), 200),  # Java's HttpURLConnection
        (("application/*",), 200),
        ((OCI_MANIFEST,), 200),
        ((OCI_MANIFEST.upper(),), 200),
        ((DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST), 200),  # docker sends one line for each
        ((DOCKER_MANIFEST, f"{OCI_MANIFEST};q=0.5, text/html"), 200),
        ((f'text/html;level="1,2;q=0", {OCI_MANIFEST}',), 200),  # a comma within quotes
        ((f"{OCI_MANIFEST};charset=utf-8",), 200),
        ((f"{OCI_MANIFEST};q=nonsense",), 200),
        ((f"{OCI_MANIFEST};q=0, */*", OCI_MANIFEST), 200),
        ((DOCKER_MANIFEST,), 404),  # converting would change the digest
        ((f"{DOCKER_MANIFEST}, {OCI_INDEX}",), 404),
        ((f"{OCI_MANIFEST};q=0",), 404),
        ((f"{OCI_MANIFEST} ; Q=0.000, */*",), 404),  # the closest range decides
        (("application/*;q=0, */*;q=1",), 404),
        (("text/*",), 404),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_accept_lines_are_read_together_and_nothing_is_converted(
    ask: Ask, shelf: Shelf, *, method: str, lines: tuple[str, ...], status: int
) -> None:
    answer = ask(method, "/v2/team/app/manifests/1", *(("Accept", line) for line in lines))
    assert answer.status == status
    if status == 200 and method == "GET":
        assert answer.body == shelf.raw(shelf.image.descriptor)


@pytest.mark.parametrize(
    ("header", "status", "start", "end"),
    [
        (None, 200, 0, 5_000_000),
        ("bytes=0-", 206, 0, 5_000_000),
        ("bytes=0-0", 206, 0, 1),
        ("bytes=100-199", 206, 100, 200),
        ("bytes=4999999-", 206, 4_999_999, 5_000_000),
        ("bytes=4000000-9999999", 206, 4_000_000, 5_000_000),
        ("bytes=-7", 206, 4_999_993, 5_000_000),
        ("bytes=-9999999", 206, 0, 5_000_000),
        ("bytes=0-99999999999999999999999999", 206, 0, 5_000_000),
        ("BYTES = 1 - 2", 206, 1, 3),
        ("bytes=,1-2,", 206, 1, 3),  # empty elements of a list count for nothing: 5.6.1.2
        ("bytes=5000000-", 416, 0, 0),
        ("bytes=99999999999999999999999999-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=9-3", 416, 0, 0),
        ("pages=1-2", 200, 0, 5_000_000),
        ("bytes=0-1,4-5", 200, 0, 5_000_000),
        ("bytes=-", 200, 0, 5_000_000),
        ("bytes=1", 200, 0, 5_000_000),
        ("bytes=a-b", 200, 0, 5_000_000),
        ("bytes=--1", 200, 0, 5_000_000),
    ],
)
def test_ranges(ask: Ask, shelf: Shelf, *, header: str | None, status: int, start: int, end: int) -> None:
    layer = shelf.large.layers[0]
    ask("HEAD", "/v2/team/app/manifests/10")
    answer = ask("GET", f"/v2/team/app/blobs/{layer.digest}", *((("Range", header),) if header else ()))
    assert answer.status == status
    if status == 416:
        assert answer.header("Content-Range") == "bytes */5000000"
        return
    assert answer.body == shelf.raw(layer)[start:end]
    assert answer.header("Content-Length") == str(end - start)
    assert answer.header("Content-Range") == (f"bytes {start}-{end - 1}/5000000" if status == 206 else None)


# conformance/run.go, "range requests": what the official suite asks of a blob of 2048 bytes that it has pushed.
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize(
    ("header", "status", "content_range", "start", "end"),
    [
        ("bytes=500-1499", 206, "bytes 500-1499/2048", 500, 1500),
        ("bytes=500-", 206, "bytes 500-2047/2048", 500, 2048),
        ("bytes=-500", 206, "bytes 1548-2047/2048", 1548, 2048),
        ("bytes=2000-5000", 206, "bytes 2000-2047/2048", 2000, 2048),
        ("bytes=500-0", 416, "bytes */2048", 0, 0),
        ("bytes=5000-10000", 416, "bytes */2048", 0, 0),
    ],
)
def test_ranges_that_the_conformance_suite_asks_after_a_push(
    ask: Ask, *, algorithm: str, header: str, status: int, content_range: str, start: int, end: int
) -> None:
    name, data = ("wide", noise("wide", 2048)) if algorithm == "sha512" else ("subject", noise("block", 2048))
    ask("HEAD", f"/v2/quay.io/odd/{name}/manifests/1")
    answer = ask("GET", f"/v2/quay.io/odd/{name}/blobs/{Digest.of(data, algorithm)}", ("Range", header))
    assert (answer.status, answer.header("Content-Range")) == (status, content_range)
    if status == 206:
        assert (answer.header("Content-Length"), answer.body) == (str(end - start), data[start:end])


def test_an_empty_blob_is_whole_whatever_range_is_asked(ask: Ask, shelf: Shelf) -> None:
    empty = shelf.image.layers[1]
    assert empty.size == 0
    answer = ask("GET", f"/v2/team/app/blobs/{empty.digest}", ("Range", "bytes=0-"))
    assert (answer.status, answer.header("Content-Length"), answer.body) == (200, "0", b"")


def test_a_range_is_for_get_alone(ask: Ask, shelf: Shelf) -> None:
    """HEAD with a range tells of the whole: 14.2."""
    layer = shelf.image.layers[0]
    answer = ask("HEAD", f"/v2/team/app/blobs/{layer.digest}", ("Range", "bytes=1-2"))
    assert (answer.status, answer.header("Content-Length"), answer.header("Content-Range")) == (200, str(layer.size), None)


@pytest.mark.parametrize(
    ("if_range", "status"),
    [('"{}"', 206), ('"other"', 200), ('W/"{}"', 200), ("{}", 200), ("Wed, 25 Nov 2026 19:00:00 GMT", 200)],
)
def test_if_range_with_anything_but_the_strong_etag_gets_the_whole(ask: Ask, shelf: Shelf, if_range: str, status: int) -> None:
    layer = shelf.image.layers[0]
    target = f"/v2/team/app/blobs/{layer.digest}"
    assert ask("GET", target, ("Range", "bytes=1-2"), ("If-Range", if_range.format(layer.digest))).status == status


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("If-None-Match", '"{}"', 304),
        ("If-None-Match", 'W/"{}"', 304),  # 304 compares weakly
        ("If-None-Match", '"other" , "{}"', 304),
        ("If-None-Match", "{}", 304),  # without quotes, as distribution takes it
        ("If-None-Match", "*", 304),
        ("If-None-Match", '"other"', 200),
        ("If-None-Match", '"*"', 200),  # in quotes it is a tag like any other
        ("If-None-Match", '"other, {}"', 200),
        ("If-None-Match", "", 200),
        ("If-Match", '"{}"', 200),
        ("If-Match", "*", 200),
        ("If-Match", '"other"', 412),
        ("If-Match", 'W/"{}"', 412),  # If-Match compares strongly
        ("If-Modified-Since", "Wed, 25 Nov 2026 19:00:00 GMT", 200),  # content has no date
    ],
)
def test_conditions_are_answered_by_the_digest(ask: Ask, shelf: Shelf, *, method: str, name: str, value: str, status: int) -> None:
    """The entity tag is the digest, so 304 says what the client could compute itself: it has these bytes."""
    layer, image = shelf.image.layers[0], shelf.image.descriptor
    for target, digest in (
        ("/v2/team/app/manifests/1", image.digest),
        (f"/v2/team/app/manifests/{image.digest}", image.digest),
        (f"/v2/team/app/blobs/{layer.digest}", layer.digest),
    ):
        answer = ask(method, target, (name, value.format(digest)))
        assert answer.status == status
        if status == 304:
            assert answer.body == b""
            assert (answer.header("ETag"), answer.header("Docker-Content-Digest")) == (f'"{digest}"', str(digest))
            assert answer.header("Content-Type") is None
    assert ask("GET", "/v2/").status == 200  # the connection is still in step


def test_not_modified_needs_something_that_is_there(ask: Ask) -> None:
    assert ask("GET", "/v2/team/app/manifests/none", ("If-None-Match", "*")).status == 404
    assert ask("GET", "/v2/team/app/manifests/1", ("If-None-Match", "*"), ("Accept", DOCKER_MANIFEST)).status == 404


def test_not_modified_comes_before_a_range(ask: Ask, shelf: Shelf) -> None:
    digest = shelf.image.layers[0].digest
    answer = ask("GET", f"/v2/team/app/blobs/{digest}", ("If-None-Match", f'"{digest}"'), ("Range", "bytes=0-1"))
    assert answer.status == 304
