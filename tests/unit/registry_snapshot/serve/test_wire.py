"""Heads of requests and answers: what is understood, what is refused, and that nothing a client sends does anything else.

``AIRSEAL_FUZZ_SECONDS=600 pytest tests/unit/registry_snapshot/serve/test_wire.py`` searches for longer.
"""

from __future__ import annotations

import email.utils
import os
import random
import time
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.serve.messages import Headers, Request, Response
from registry_snapshot.serve.wire import (
    MAX_FIELDS,
    MAX_HEAD,
    MAX_LINE,
    BadRequestError,
    Head,
    head_end,
    parse_head,
    render_head,
)

FUZZ_SECONDS = float(os.environ.get("AIRSEAL_FUZZ_SECONDS", "0.5"))
CONTAINERD = (
    b"HEAD /v2/library/busybox/manifests/1.36?ns=docker.io HTTP/1.1\r\nHost: 10.0.0.2:5443\r\nUser-Agent: containerd/2.3.3\r\n"
    b"Accept: application/vnd.oci.image.index.v1+json, */*\r\nAccept: text/html\r\nAccept-Encoding: zstd;q=1.0\r\n\r\n"
)


def test_what_containerd_sends_is_understood() -> None:
    head = parse_head(CONTAINERD, "10.0.0.7")
    request = head.request
    assert (request.method, request.path, request.query) == ("HEAD", "/v2/library/busybox/manifests/1.36", {"ns": "docker.io"})
    assert request.headers.all("accept") == ("application/vnd.oci.image.index.v1+json, */*", "text/html")
    assert (request.client, head.keep_alive, head.has_body) == ("10.0.0.7", True, False)


def status_of(data: bytes) -> int:
    with pytest.raises(BadRequestError) as caught:
        parse_head(data, "")
    return caught.value.status


@pytest.mark.parametrize(
    "fields",
    [
        b"Host: a\nX: b\r\n",  # a bare LF is a line's end to some, and a part of the value to others
        b"Host: a\rX: b\r\n",
        b"X: a\r\n folded\r\n",
        b"Host : a\r\n",
        b": a\r\n",
        b"no colon\r\n",
        b"X(: a\r\n",
        b"X: a\0b\r\n",
        b"Host: a\r\nHost: b\r\n",
        b"X\xc4: a\r\n",
        b"X: y\r\n" * (MAX_FIELDS + 1),
    ],
)
def test_fields_that_two_programs_may_read_differently_are_refused(fields: bytes) -> None:
    assert status_of(b"GET / HTTP/1.1\r\n" + fields + b"\r\n") == 400


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"", 400),
        (b"GET /", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET /\xff HTTP/1.1", 400),
        (b"G\xc4T / HTTP/1.1", 400),
        (b"GET / HTTP/2.0", 400),
        (b"GET / http/1.1", 400),
        (b"GET http://[bad/ HTTP/1.1", 400),
        (b"PRI * HTTP/2.0", 400),
        (b"GET /" + b"x" * MAX_LINE + b" HTTP/1.1", 414),
    ],
)
def test_a_request_line_that_is_none_is_refused(line: bytes, status: int) -> None:
    assert status_of(line + b"\r\n\r\n") == status


@pytest.mark.parametrize(
    ("fields", "keep_alive", "has_body"),
    [
        (b"", True, False),
        (b"Connection: keep-alive, Close\r\n", False, False),
        (b"Content-Length: 0\r\n", True, False),
        (b"Content-Length: 0\r\nContent-Length: 5\r\n", False, True),
        (b"Content-Length: +0\r\n", False, True),
        (b"Content-Length: 5\r\n", False, True),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", False, True),
        (b"transfer-encoding: identity\r\n", False, True),
    ],
)
def test_after_a_body_nothing_is_taken_for_a_request(*, fields: bytes, keep_alive: bool, has_body: bool) -> None:
    head = parse_head(b"PUT / HTTP/1.1\r\n" + fields + b"\r\n", "")
    assert (head.keep_alive, head.has_body) == (keep_alive, has_body)


def test_a_head_that_comes_in_pieces_ends_where_it_ends() -> None:
    both = CONTAINERD + b"GET / HTTP/1.1\r\n\r\n"
    for size in range(len(CONTAINERD)):
        assert head_end(both[:size], max(size - 1, 0)) == 0
    assert head_end(both, len(CONTAINERD) - 1) == len(CONTAINERD)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"x" * MAX_HEAD, 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD, 431),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD + b"\r\n\r\n", 431),
        (b"\x16\x03\x01\x02\x00", 400),
    ],
)
def test_a_head_that_is_too_long_or_no_http_is_not_read_further(data: bytes, status: int) -> None:
    with pytest.raises(BadRequestError) as caught:
        head_end(data)
    assert caught.value.status == status


@given(st.text(st.sampled_from("/abz09.:@-_~%2Fé?&=+#;[]") | st.characters(max_codepoint=255), max_size=40).map(lambda text: "/" + text))
def test_targets_mean_what_the_standard_library_says(target: str) -> None:
    """Most targets take a short way of our own; it must not be another way."""
    try:
        parts = urlsplit(target)
    except ValueError:
        with pytest.raises(ValueError, match=r".*"):
            Request.of("GET", target)
        return
    query: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        query.setdefault(name, value)
    request = Request.of("GET", target)
    assert (request.path, request.query) == (unquote(parts.path), query)


def test_an_answer_says_when_and_ends_its_head() -> None:
    raw = render_head(Response(206, (("Content-Length", "2"), ("X-Bad", "a\r\nInjected: yes"))), close=True)
    lines = raw.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 206 Partial Content"
    assert lines[2:] == ["Content-Length: 2", "Connection: close", "", ""]
    said = email.utils.parsedate_to_datetime(lines[1].removeprefix("Date: "))
    assert abs(said.timestamp() - time.time()) < 5
    assert lines[1].removeprefix("Date: ") == email.utils.format_datetime(said, usegmt=True)


def test_every_status_has_a_head() -> None:
    for status in range(100, 600):
        assert render_head(Response(status, ()), close=False).startswith(f"HTTP/1.1 {status} ".encode())


def parsed(data: bytes) -> Head | int:
    """Return what becomes of ``data``; anything but an answer or a refusal is a crash."""
    try:
        end = head_end(data)
        return parse_head(data[:end], "") if end else 0
    except BadRequestError as error:
        return error.status


PIECES = (
    b"GET ", b"HEAD ", b"/v2/", b"?ns=", b"%", b"%2F", b" HTTP/1.1", b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"Host: a\r\n", b":", b" ",
    b"\t", b"\0", b"\xff", b"[", b"]", b"://", b"#", b"Connection: close\r\n", b"Content-Length: 5\r\n", b"A" * 300, b"X: y\r\n" * 60,
)  # fmt: skip


def test_whatever_comes_is_answered_or_refused() -> None:
    """A seed for each head, so that a failure can be repeated: broken real heads, and soup of what heads are made of."""
    until, number = time.monotonic() + FUZZ_SECONDS, 0
    seen = set()
    while time.monotonic() < until or number < 500:
        chance = random.Random(number)  # noqa: S311
        if number % 2:
            data = bytearray(CONTAINERD)
            for _ in range(chance.randrange(1, 6)):
                at = chance.randrange(len(data))
                data[at : at + chance.randrange(3)] = chance.choice(PIECES)
            made = bytes(data)
        else:
            made = b"".join(chance.choices(PIECES, k=chance.randrange(30))) + b"\r\n\r\n"
        found = parsed(made)
        seen.add(found if isinstance(found, int) else "request")
        if isinstance(found, Head):
            assert found.request.path == "" or isinstance(found.request.path, str), number
            assert not {"\r", "\n", "\0"} & set("".join(f"{name}{value}" for name, value in found.request.headers)), number
        number += 1
    assert {"request", 400} <= seen


def test_a_name_on_several_lines_keeps_them_all_in_order() -> None:
    headers = Headers([("X", str(number)) for number in range(MAX_FIELDS)])
    assert headers.all("x") == tuple(map(str, range(MAX_FIELDS)))
    assert (headers.get("X"), headers.get("y")) == ("0", None)
