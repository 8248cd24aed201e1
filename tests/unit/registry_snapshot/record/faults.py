"""Faults: what a misbehaving upstream says instead of the right answer. Building blocks of fault_table."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from registry_snapshot.serve.messages import Request, Response
from tests.fakes.raw_upstream import End, Piece, RawUpstream, head, whole, without
from tests.unit.registry_snapshot.images import Image

BLOB = 100_000
PART = BLOB // 10
QUICK = 0.03  # seconds of silence that are too many, where silence is the fault
OK = b"HTTP/1.1 200 X\r\n"


@dataclass(frozen=True)
class Site:
    """The upstream that misbehaves, a host it may send us to, and what it really has."""

    raw: RawUpstream
    elsewhere: RawUpstream
    image: Image
    other: Image

    @property
    def turn(self) -> int:
        """The number of this request, from 1."""
        return len(self.raw.requests)


Fault = Callable[[Site, Request, Response], Iterator[Piece]]


# --- building blocks --------------------------------------------------------------------------------------------------


def first(count: int, bad: Fault) -> Fault:
    """Misbehave for the first requests, then no more."""
    return lambda site, request, answer: bad(site, request, answer) if site.turn <= count else whole(answer)


def says(status: int, *headers: tuple[str, str], body: bytes = b"") -> Fault:
    def fault(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
        yield head(status, ("Content-Length", str(len(body))), *headers)
        yield body

    return fault


def raw(*pieces: Piece) -> Fault:
    return lambda site, request, answer: iter(pieces)


def for_ever(start: bytes, again: bytes) -> Fault:
    return lambda site, request, answer: itertools.chain([start], itertools.repeat(again))


def body(make: Callable[[Site, bytes], bytes], *extra: tuple[str, str], drop: tuple[str, ...] = ()) -> Fault:
    """Answer with another body, of which the length is told rightly."""

    def fault(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
        data = make(site, answer.read())
        kept = without(answer, "Content-Length", *drop, *(name for name, _ in extra))
        yield head(answer.status, ("Content-Length", str(len(data))), *kept, *extra)
        yield data

    return fault


def ends_at(share: int, end: End, *, ranges: bool = True, length: bool = True) -> Fault:
    """Break off after ``share`` tenths of what was asked for."""

    def fault(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
        right = answer if ranges else site.raw.right(Request(request.method, request.path))
        data = right.read()
        yield head(right.status, *(right.headers if length else without(right, "Content-Length")))
        yield data[: len(data) * share // 10]
        yield end

    return fault


def in_parts(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
    """Reset after every tenth of the whole."""
    yield head(answer.status, *answer.headers)
    data = answer.read()
    yield data[:PART]
    if len(data) > PART:
        yield End.RESET


def unranged(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
    """Know nothing of Range."""
    return whole(site.raw.right(Request(request.method, request.path)))


def sequence(*faults: Fault) -> Fault:
    """One after another, then begin anew."""
    return lambda site, request, answer: faults[(site.turn - 1) % len(faults)](site, request, answer)


def partial(start: int, end: int, told: str) -> Fault:
    """206 to a request without a range."""

    def fault(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
        if request.headers.get("Range"):
            return whole(answer)
        data = answer.read()[start:end]
        headers = (("Content-Range", told),) if told else ()
        return iter([head(206, ("Content-Length", str(len(data))), *without(answer, "Content-Length"), *headers), data])

    return fault


def no_length(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
    yield head(answer.status, *without(answer, "Content-Length"))
    yield answer.read()
    yield End.CLOSE


def chunked(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
    yield head(answer.status, *without(answer, "Content-Length"), ("Transfer-Encoding", "chunked"))
    data = answer.read()
    for at in range(0, len(data), 777):
        piece = data[at : at + 777]
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def redirects(status: int = 307) -> Fault:
    """Send to the other host, which answers rightly; the redirect itself has a body that never ends."""

    def fault(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
        location = f"{site.elsewhere.url}{request.path}?signature=s"
        return itertools.chain([head(status, ("Location", location))], itertools.repeat(b"moved " * 1000))

    return fault


def drips(start: bytes) -> Fault:
    return lambda site, request, answer: itertools.chain([start], site.raw.drip(b"x" * 10_000, QUICK / 6))


def date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def untyped(site: Site, data: bytes) -> bytes:
    return json.dumps({key: value for key, value in json.loads(data).items() if key != "mediaType"}).encode()


def big(site: Site, data: bytes) -> bytes:
    return json.dumps({**json.loads(data), "annotations": {"x": "y" * 5_000_000}}).encode()
