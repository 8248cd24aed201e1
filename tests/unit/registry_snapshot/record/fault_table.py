"""Every way in which an upstream misbehaves, and what must come of it: the table of test_fault_matrix.

A row says what goes wrong, and for a manifest asked by tag, by digest, and for a blob whether the right bytes are stored
or which error is raised. None: the fault makes no sense there.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass

from registry_snapshot.errors import (
    ManifestInvalid,
    RegistryError,
    UpstreamCorrupt,
    UpstreamError,
    UpstreamUnauthorized,
    UpstreamUnreachable,
)
from registry_snapshot.oci import media_types
from registry_snapshot.oci.digest import Digest
from registry_snapshot.serve.messages import Request, Response
from tests.fakes.raw_upstream import End, head, whole
from tests.unit.registry_snapshot.images import noise
from tests.unit.registry_snapshot.record.faults import (
    BLOB,
    OK,
    PART,
    QUICK,
    Fault,
    big,
    body,
    chunked,
    date,
    drips,
    ends_at,
    first,
    for_ever,
    in_parts,
    no_length,
    partial,
    raw,
    redirects,
    says,
    sequence,
    unranged,
    untyped,
)


@dataclass(frozen=True)
class Stored:
    """The right bytes are there, after so many repeated requests (None: it may vary)."""

    retries: int | None = 0


@dataclass(frozen=True)
class Refused:
    """This very class is raised, with these words in its problem."""

    kind: type[RegistryError]
    words: str
    status: int = 0


Outcome = Stored | Refused | None


@dataclass(frozen=True)
class Case:
    name: str
    fault: Fault
    tag: Outcome
    digest: Outcome
    blob: Outcome
    read_seconds: float = 10


def case(name: str, fault: Fault, outcome: Outcome, blob: Outcome = None, *, tag: Outcome = None, read_seconds: float = 10) -> Case:
    """A row whose outcome is the same everywhere, unless a blob's or a tag's is given."""
    return Case(name, fault, tag or outcome, outcome, blob or outcome, read_seconds)


def blob_case(name: str, fault: Fault, outcome: Outcome) -> Case:
    return Case(name, fault, None, None, outcome)


def manifest_case(name: str, fault: Fault, tag: Outcome, digest: Outcome) -> Case:
    return Case(name, fault, tag, digest, None)


BROKE = Refused(UpstreamUnreachable, "broke")
SILENT = Refused(UpstreamUnreachable, "stopped sending")
CORRUPT = Refused(UpstreamCorrupt, "sent other bytes")
CORRUPT_BLOB = Refused(UpstreamCorrupt, "sent wrong bytes")
ENDLESS = Refused(ManifestInvalid, "more than 4194304 bytes")
TOO_LONG = Refused(UpstreamCorrupt, f"more than {BLOB} bytes")

CASES = [
    # What a registry may leave out.
    case("no digest header", body(lambda site, data: data, drop=("Docker-Content-Digest",)), Stored()),
    case("a digest header of nonsense", body(lambda site, data: data, ("Docker-Content-Digest", "md5:x")), Stored()),
    case("no Content-Length", no_length, Stored()),
    case("chunks", chunked, Stored()),
    # Limits: waited out, never passed on.
    case("a burst of 429 with seconds", first(12, says(429, ("Retry-After", "20"))), Stored(12)),
    case("a burst of 429 with a date", first(3, says(429, ("Retry-After", date(60)))), Stored(3)),
    case("a burst of 429 without a word", first(12, says(429)), Stored(12)),
    case("429 for ever", says(429, ("Retry-After", "120")), Refused(UpstreamError, "HTTP 429", 429)),
    case("503 with Retry-After", first(2, says(503, ("Retry-After", "5"))), Stored(2)),
    # Servers that fail.
    *(case(f"{status} twice", first(2, says(status)), Stored(2)) for status in (408, 500, 502, 503, 504)),
    *(
        case(f"{status} for ever", for_ever(head(status), b"<html>" * 1000), Refused(UpstreamError, f"HTTP {status}", status))
        for status in (500, 502, 503, 504)
    ),
    *(
        case(f"{status} for ever", says(status), Refused(UpstreamError, f"HTTP {status}", status))
        for status in (204, 301, 304, 400, 404, 410, 418)
    ),
    *(case(f"{status}", says(status), Refused(UpstreamUnauthorized, f"HTTP {status}", status)) for status in (401, 403)),
    case("416 for ever", says(416), Refused(UpstreamError, "HTTP 416", 416)),
    # Connections that break.
    case("reset before the head, once", first(1, raw(End.RESET)), Stored(1)),
    case("reset before the head, for ever", raw(End.RESET), BROKE),
    case("closed without a word", raw(End.CLOSE), BROKE),
    *(case(f"reset at {n}0 %", first(1, ends_at(n, End.RESET)), Stored(1)) for n in range(10)),
    *(case(f"closed at {n}0 %, no Range", first(1, ends_at(n, End.CLOSE, ranges=False)), Stored(1)) for n in range(10)),
    *(
        blob_case(f"reset at {n}0 %, and no Range afterwards", sequence(ends_at(n, End.RESET), unranged), Stored(1))
        for n in range(1, 10)
    ),
    blob_case("reset at every 10 %", in_parts, Stored(9)),
    case("reset at the half, for ever, and no Range", ends_at(5, End.RESET, ranges=False), BROKE),
    manifest_case("reset at the half, for ever", ends_at(5, End.RESET), BROKE, BROKE),
    blob_case("closed at the half without a length", first(1, ends_at(5, End.CLOSE, length=False)), Stored(1)),
    manifest_case("closed at the half without a length", first(1, ends_at(5, End.CLOSE, length=False)), Stored(1), Stored(1)),
    case(
        "closed at the half without a length, for ever, and no Range",
        ends_at(5, End.CLOSE, ranges=False, length=False),
        CORRUPT,
        Refused(UpstreamUnreachable, f"sent {BLOB // 2} of {BLOB} bytes"),
    ),
    # Ranges that are wrong.
    blob_case(
        "a wrong Content-Range, then right again",
        sequence(ends_at(5, End.RESET), body(lambda site, data: data, ("Content-Range", "bytes 0-9/10")), unranged),
        Stored(2),
    ),
    blob_case(
        "a wrong Content-Range for ever",
        sequence(ends_at(5, End.RESET), body(lambda site, data: data, ("Content-Range", "bytes 0-9/10"))),
        Refused(UpstreamError, "HTTP 206", 206),
    ),
    blob_case("a resume that answers 416", sequence(ends_at(5, End.RESET), says(416), unranged), Stored(2)),
    blob_case("206 for all, unasked", partial(0, BLOB, f"bytes 0-{BLOB - 1}/{BLOB}"), Stored()),
    blob_case("206 for a beginning, unasked", partial(0, PART, f"bytes 0-{PART - 1}/{BLOB}"), Stored(1)),
    blob_case("206 from the middle, unasked", partial(PART, BLOB, f"bytes {PART}-{BLOB - 1}/{BLOB}"), Refused(UpstreamError, "HTTP 206", 206)),
    blob_case("206 that does not say for what", partial(0, BLOB, ""), Refused(UpstreamError, "HTTP 206", 206)),
    manifest_case("206 unasked", partial(0, BLOB, "bytes 0-1/2"), *[Refused(UpstreamError, "HTTP 206", 206)] * 2),
    # Bytes that are wrong.
    case("wrong bytes of the right length", body(lambda site, data: noise("evil", len(data))), CORRUPT, CORRUPT_BLOB),
    case("wrong bytes once", first(1, body(lambda site, data: noise("evil", len(data)))), Stored(1)),
    blob_case("the right bytes of another blob", body(lambda site, data: noise("other", BLOB)), CORRUPT_BLOB),
    Case(
        "the right bytes of another manifest",
        lambda site, request, answer: whole(
            site.raw.right(Request("GET", f"/v2/team/app/manifests/{site.other.descriptor.digest}"))
        ),
        None,
        CORRUPT,
        None,
    ),
    case("truncated, with a length to match", body(lambda site, data: data[:-99]), CORRUPT, Refused(UpstreamUnreachable, "sent")),
    case("gzip is only said", body(lambda site, data: data, ("Content-Encoding", "gzip")), Stored()),
    case(
        "gzip is done, unasked",
        body(lambda site, data: gzip.compress(data), ("Content-Encoding", "gzip")),
        Refused(UpstreamCorrupt, "Content-Encoding 'gzip'"),
    ),
    # Redirects.
    *(case(f"{status} to another host", redirects(status), Stored()) for status in (301, 302, 303, 307, 308)),
    case(
        "a redirect in a circle",
        lambda site, request, answer: whole(Response(307, (("Location", request.path), ("Content-Length", "0")))),
        Refused(UpstreamError, "redirects more than 10 times"),
    ),
    *(
        case(f"a redirect to {target}", says(307, ("Location", target)), Refused(UpstreamError, "no web address"))
        for target in ("file:///etc/passwd", "ftp://x/y", "http://[", "https:///x", "data:,x")
    ),
    case("a redirect to no host", says(307, ("Location", "http://a..b/")), Refused(UpstreamError, "no host that can be asked")),
    # Without end.
    case("an endless body", for_ever(OK + b"\r\n", b"x" * 65536), ENDLESS, TOO_LONG),
    case("an endless body with a length", for_ever(OK + b"Content-Length: 999999999999\r\n\r\n", b"x" * 65536), ENDLESS, TOO_LONG),
    case("endless chunks", for_ever(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"), ENDLESS, TOO_LONG),
    case("a chunk's size without end", for_ever(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1" * 65536), BROKE),
    case("headers without end", for_ever(OK, b"X-Header: y\r\n" * 5000), BROKE),
    case("a header without end", for_ever(OK + b"X-Header: ", b"y" * 65536), BROKE),
    case("100 Continue without end", for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000), BROKE),
    # Silence.
    case("silence before the head", raw(End.HANG), SILENT, read_seconds=QUICK),
    case("silence in the head", raw(OK, End.HANG), SILENT, read_seconds=QUICK),
    case("silence in the body", ends_at(0, End.HANG), SILENT, read_seconds=QUICK),
    case("silence once", first(1, ends_at(1, End.HANG)), Stored(None), read_seconds=0.2),
    case("a head that drips", drips(OK + b"X-Header: "), SILENT, read_seconds=QUICK),
    case("a body that drips", drips(OK + b"Content-Length: 10000\r\n\r\n"), SILENT, read_seconds=QUICK),
    # Garbage.
    case("no HTTP", raw(b"SSH-2.0-OpenSSH_9.2\r\n", End.CLOSE), BROKE),
    case("bytes", raw(noise("bytes", 3000), End.CLOSE), BROKE),
    case("a length of nonsense", raw(OK + b"Content-Length: many\r\n\r\nx", End.CLOSE), CORRUPT, Refused(UpstreamUnreachable, "sent"), tag=Refused(ManifestInvalid, "not JSON")),
    case("two lengths", raw(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", End.CLOSE), BROKE),
    case("a chunk of nonsense", raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", End.CLOSE), BROKE),
    # Manifests that are none.
    manifest_case("another Content-Type", body(lambda site, data: data, ("Content-Type", "text/plain")), Stored(), Stored()),
    manifest_case(
        "no type at all",
        body(untyped, ("Content-Type", "application/json"), drop=("Docker-Content-Digest",)),
        Refused(ManifestInvalid, "'application/json' is not a manifest type"),
        CORRUPT,
    ),
    manifest_case("five megabytes", body(big, drop=("Docker-Content-Digest",)), ENDLESS, ENDLESS),
    manifest_case("JSON garbage", body(lambda site, data: b"[" * 100_000, drop=("Docker-Content-Digest",)), Refused(ManifestInvalid, "not JSON"), CORRUPT),
    manifest_case("a page", body(lambda site, data: b"<html>login</html>", drop=("Docker-Content-Digest",)), Refused(ManifestInvalid, "not JSON"), CORRUPT),
    manifest_case(
        "a manifest that tells a wrong digest",
        body(lambda site, data: data, ("Docker-Content-Digest", str(Digest.of(b"")))),
        CORRUPT,
        Stored(),
    ),
    manifest_case(
        "schema 1",
        body(lambda site, data: b'{"schemaVersion": 1}', ("Content-Type", "application/vnd.docker.distribution.manifest.v1+json"), drop=("Docker-Content-Digest",)),
        Refused(ManifestInvalid, "manifest.v1"),
        CORRUPT,
    ),
    manifest_case(
        "a layer for a manifest",
        body(lambda site, data: noise("x", 100), ("Content-Type", media_types.OCI_LAYER), drop=("Docker-Content-Digest",)),
        Refused(ManifestInvalid, "not JSON"),
        CORRUPT,
    ),
]
