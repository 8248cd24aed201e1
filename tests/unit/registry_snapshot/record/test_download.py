"""A blob goes on where a sink ends, costs what it costs, and a foreign layer is looked for where its descriptor says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.errors import DigestMismatch, UpstreamCorrupt, UpstreamError, UpstreamUnreachable
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_LAYER_GZIP
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.upstream import Traffic
from registry_snapshot.serve.messages import Request, Response
from registry_snapshot.serve.ranges import parse_range
from tests.fakes.raw_upstream import End, Piece, whole
from tests.unit.registry_snapshot.images import noise
from tests.unit.registry_snapshot.record.conftest import Dial
from tests.unit.registry_snapshot.record.faults import (
    BLOB,
    PART,
    Fault,
    Site,
    ends_at,
    in_parts,
    says,
    unranged,
)

APP = Repository.of("docker.io", "team/app")


class MemorySink:
    """A BlobSink in memory."""

    def __init__(self, expected: Digest, begins: bytes = b"") -> None:
        self.data = begins
        self.committed = False
        self._expected = expected

    @property
    def size(self) -> int:
        return len(self.data)

    def write(self, data: bytes) -> None:
        self.data += data

    def restart(self) -> None:
        self.data = b""

    def commit(self) -> Digest:
        if Digest.of(self.data, self._expected.algorithm) != self._expected:
            raise DigestMismatch("these are other bytes")
        self.committed = True
        return self._expected


def right(site: Site) -> bytes:
    return site.raw.right(Request("GET", f"/v2/team/app/blobs/{site.image.layers[0].digest}")).read()


def behaves(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
    return whole(answer)


def ranges(site: Site) -> list[str | None]:
    return [request.headers.get("Range") for request in site.raw.requests]


@pytest.mark.parametrize("have", [1, PART, BLOB - 1])
def test_a_beginning_that_is_there_is_gone_on_with(site: Site, dial: Dial, have: int) -> None:
    wanted, counts = site.image.layers[0], list[int]()
    sink = MemorySink(wanted.digest, right(site)[:have])
    assert dial(behaves).blob(APP, wanted, sink, counts.append) == Traffic(BLOB - have, 0)
    assert sink.committed
    assert sum(counts) == BLOB - have
    assert ranges(site) == [f"bytes={have}-"]


def test_a_whole_that_is_there_is_only_verified(site: Site, dial: Dial) -> None:
    wanted = site.image.layers[0]
    sink = MemorySink(wanted.digest, right(site))
    assert dial(behaves).blob(APP, wanted, sink) == Traffic(0, 0)
    assert sink.committed
    assert site.raw.requests == []


@pytest.mark.parametrize("have", [PART, BLOB, BLOB + 1])
def test_a_wrong_beginning_is_thrown_away(site: Site, dial: Dial, have: int) -> None:
    wanted, counts = site.image.layers[0], list[int]()
    sink = MemorySink(wanted.digest, noise("evil", have))
    traffic = dial(behaves).blob(APP, wanted, sink, counts.append)
    assert sink.data == right(site)
    assert sum(counts) == BLOB - have  # the caller counted the beginning
    assert traffic.bytes == sum(count for count in counts if count > 0)
    assert ranges(site)[-1] is None


def test_an_upstream_without_ranges_costs_twice(site: Site, dial: Dial) -> None:
    wanted = site.image.layers[0]
    traffic = dial(_half_then_unranged).blob(APP, wanted, MemorySink(wanted.digest))
    assert traffic == Traffic(BLOB + BLOB // 2, 1)


def _half_then_unranged(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
    return (ends_at(5, End.CLOSE) if site.turn == 1 else unranged)(site, request, answer)


def test_resets_cost_no_byte_twice(site: Site, dial: Dial) -> None:
    wanted = site.image.layers[0]
    assert dial(in_parts).blob(APP, wanted, MemorySink(wanted.digest)) == Traffic(BLOB, 9)
    assert ranges(site) == [None, *(f"bytes={part * PART}-" for part in range(1, 10))]


def test_patience_is_not_renewed_by_a_trickle(site: Site, dial: Dial) -> None:
    """A hundred bytes and a reset, again and again: that would go on for a thousand requests."""

    def trickle(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
        pieces = list(whole(answer))
        return iter([pieces[0], bytes(pieces[1])[:100], End.RESET])  # type: ignore[arg-type]

    wanted = site.image.layers[0]
    sink = MemorySink(wanted.digest)
    with pytest.raises(UpstreamUnreachable, match="broke"):
        dial(trickle).blob(APP, wanted, sink)
    assert not sink.committed
    assert len(site.raw.requests) == 6
    assert sink.data == right(site)[:600]  # which a later run goes on with


@pytest.mark.parametrize("size", [BLOB, -1])
def test_an_empty_blob_and_one_of_unknown_size(site: Site, dial: Dial, size: int) -> None:
    empty = site.other.layers[1]
    assert empty.size == 0
    remote = dial(behaves)
    sink = MemorySink(empty.digest)
    assert remote.blob(APP, Descriptor(OCI_LAYER_GZIP, empty.digest, min(size, 0)), sink) == Traffic(0, 0)
    assert sink.committed
    wanted = Descriptor(OCI_LAYER_GZIP, site.image.layers[0].digest, size)
    assert remote.blob(APP, wanted, MemorySink(wanted.digest)).bytes == BLOB


def test_sha512_is_verified_as_such(site: Site, dial: Dial) -> None:
    data = right(site)
    wanted = Descriptor(OCI_LAYER_GZIP, Digest.of(data, "sha512"), BLOB)

    def as_sha512(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
        return says(200, body=data)(site, request, answer)

    sink = MemorySink(wanted.digest)
    dial(as_sha512).blob(APP, wanted, sink)
    assert sink.committed


def foreign(site: Site, *urls: str) -> Descriptor:
    layer = site.image.layers[0]
    return Descriptor(layer.media_type, layer.digest, layer.size, urls=urls)


def test_a_foreign_layer_is_looked_for_in_the_registry_and_then_at_each_address_without_a_login(site: Site, dial: Dial) -> None:
    data = right(site)
    answers: dict[str, Fault] = {"/a": says(404), "/b": says(500), "/c": says(307, ("Location", "/d")), "/d": says(200, body=data)}
    site.elsewhere.fault = lambda request, answer: answers[request.path](site, request, answer)
    wanted = foreign(site, "file:///etc/passwd", "http://[", "ftp://x/y", *(f"{site.elsewhere.url}/{name}" for name in "abc"))
    sink = MemorySink(wanted.digest)
    dial(says(404)).blob(APP, wanted, sink)
    assert sink.committed
    assert [request.path for request in site.elsewhere.requests] == ["/a", *["/b"] * 6, "/c", "/d"]
    assert {request.headers.get("Authorization") for request in site.elsewhere.requests} == {None}


def test_a_registry_that_refuses_is_not_gone_round(site: Site, dial: Dial) -> None:
    wanted = foreign(site, f"{site.elsewhere.url}/a")
    with pytest.raises(UpstreamError, match="HTTP 403"):
        dial(says(403)).blob(APP, wanted, MemorySink(wanted.digest))
    assert site.elsewhere.requests == []


def test_wrong_bytes_from_an_address_are_refused(site: Site, dial: Dial) -> None:
    site.elsewhere.fault = lambda request, answer: says(200, body=noise("evil", BLOB))(site, request, answer)
    wanted = foreign(site, f"{site.elsewhere.url}/a")
    sink = MemorySink(wanted.digest)
    with pytest.raises(UpstreamCorrupt, match="wrong bytes"):
        dial(says(404)).blob(APP, wanted, sink)
    assert not sink.committed


@pytest.mark.parametrize("media_type", ["a/b\r\nX-Injected: yes", "no type", "\ud800/x", "x" * 300, ""])
def test_a_media_type_of_nonsense_reaches_no_header(site: Site, dial: Dial, media_type: str) -> None:
    layer = site.image.layers[0]
    dial(behaves).blob(APP, Descriptor(media_type, layer.digest, layer.size), MemorySink(layer.digest))
    (request,) = site.raw.requests
    assert request.headers.get("Accept") == "*/*"
    assert request.headers.get("X-Injected") is None


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(0, 10**6))
def test_what_our_own_server_says_of_a_range_is_what_a_download_reads(start: int, length: int, more: int) -> None:
    from registry_snapshot.record.download import _CONTENT_RANGE

    size = start + length + more
    part = parse_range(f"bytes={start}-{start + length - 1}", size)
    assert part is not None
    match = _CONTENT_RANGE.fullmatch(part.content_range(size))
    assert match is not None
    assert (int(match[1]), int(match[2])) == (start, size)
