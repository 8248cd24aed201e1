"""HTTP/1.1 as text: a request's head in, a response's head out. Pure functions; the strict half of RFC 9112.

What is refused, and why: a bare CR or LF, a folded line, a space before the colon, two ``Host`` lines. Two programs that
read such a head differently can be played against one another. Bodies of requests are never read: a read-only registry
needs none, so a connection that brings one is closed after its answer, and nothing of it is taken for a next request.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from http import HTTPStatus

from registry_snapshot.serve.messages import Headers, Request, Response

MAX_HEAD = 64 * 1024  # bytes of request line and headers together; real clients send under 2 KiB
MAX_LINE = 16 * 1024  # bytes of the request line: a name of 255, a digest, a namespace, and room
MAX_FIELDS = 100  # header lines; real clients send under 20
END = b"\r\n\r\n"
# What a client that tries HTTPS first begins with: skopeo, podman, crane and docker do, when told that a registry is
# insecure. Unless it is turned away at once, skopeo waits 10 s for each pull. Source: RFC 8446, 5.1.
TLS_HANDSHAKE = b"\x16\x03"

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_REQUEST = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP/1\.([01])")
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class BadRequestError(Exception):
    """A request that is not answered by the app: ``status`` and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """A parsed request, whether the connection may be used again after it, and whether the client sends a body."""

    request: Request
    keep_alive: bool
    has_body: bool


def head_end(data: bytes | bytearray, seen: int = 0) -> int:
    """Return where the first head in ``data`` ends, blank line included; 0 if it is not all there.

    ``seen`` bytes were looked at before: a head that comes byte by byte is not searched again and again. Raises
    BadRequestError for a head that is too long, whether its end is there or not, and for one in another language.
    """
    if data.startswith(TLS_HANDSHAKE):
        raise BadRequestError(400, "this port speaks HTTP, not HTTPS")
    end = data.find(END, max(seen - len(END) + 1, 0))
    if end < 0 and len(data) <= MAX_HEAD:
        return 0
    if not 0 <= end <= MAX_HEAD:
        if data.find(b"\r\n", 0, MAX_LINE + 2) < 0:
            raise BadRequestError(414, "the request line is too long")
        raise BadRequestError(431, "the headers are too long")
    return end + len(END)


def parse_head(data: bytes, client: str) -> Head:
    """Return the request that ``data`` spells: a whole head, its blank line included. Raises BadRequestError."""
    lines = data.decode("latin-1").split("\r\n")
    del lines[-2:]  # what the blank line leaves
    _refuse_strays(data, len(lines))
    match = _REQUEST.fullmatch(lines[0]) if len(lines[0]) <= MAX_LINE else None
    if match is None:
        if len(lines[0]) > MAX_LINE:
            raise BadRequestError(414, "the request line is too long")
        raise BadRequestError(400, "this is not an HTTP/1.1 request")
    if len(lines) > MAX_FIELDS + 1:
        raise BadRequestError(400, f"there are more than {MAX_FIELDS} header lines")
    method, target, minor = match.groups()
    headers = Headers(map(_field, lines[1:]))
    if len(headers.all("Host")) > 1:
        raise BadRequestError(400, "there is more than one Host")
    try:
        request = Request.of(method, target, headers, client)
    except ValueError as error:
        raise BadRequestError(400, f"the request cannot be understood: {type(error).__name__}") from None
    has_body = headers.get("Transfer-Encoding") is not None or any(size != "0" for size in headers.all("Content-Length"))
    return Head(request, minor == "1" and not has_body and not _says_close(headers), has_body)


def render_head(response: Response, *, close: bool) -> bytes:
    """Return the head of ``response``, its blank line included, with ``Date`` (RFC 9110, 6.6.1)."""
    lines = [f"HTTP/1.1 {response.status} {_PHRASES.get(response.status, '')}", _date(int(time.time()))]
    # A value with a line break would end the header early; nothing of ours has one, but names come from outside.
    lines += [f"{name}: {value}" for name, value in response.headers if "\r" not in value and "\n" not in value]
    lines.append("Connection: close\r\n\r\n" if close else "\r\n")
    return "\r\n".join(lines).encode("latin-1", "replace")


def _refuse_strays(data: bytes, lines: int) -> None:
    ends = lines + 1
    if data.count(b"\n") != ends or data.count(b"\r") != ends:
        raise BadRequestError(400, "a line of the head does not end with CR LF")
    if b"\0" in data:
        raise BadRequestError(400, "there is a NUL in the head")


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not _TOKEN.fullmatch(name):
        raise BadRequestError(400, "a header line is malformed")
    return name, value.strip(" \t")


def _says_close(headers: Headers) -> bool:
    return any(token.strip().lower() == "close" for line in headers.all("Connection") for token in line.split(","))


_dated = (0, "")


def _date(now: int) -> str:
    global _dated  # noqa: PLW0603 - one text a second, whichever thread makes it
    second, text = _dated
    if second != now:
        at = time.gmtime(now)
        clock = f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
        text = f"Date: {_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year} {clock} GMT"
        _dated = (now, text)
    return text
