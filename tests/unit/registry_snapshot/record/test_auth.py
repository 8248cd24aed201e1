"""Tokens are asked for in the way that each token server understands, live as long as they should, and are shared."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.errors import UpstreamError, UpstreamUnauthorized
from registry_snapshot.record.auth import Authorizer, TokenAnswer
from registry_snapshot.record.challenge import Challenge
from registry_snapshot.record.credentials import Credentials
from tests.unit.registry_snapshot.conftest import Naps

SCOPE = "repository:team/app:pull"
BASE = "https://registry.example.com/v2"
REALM = "https://auth.example.com/token"
DATE = "Mon, 02 Mar 2026 10:00:00 GMT"


class TokenServer:
    """Answers from a list, the last one again and again; remembers what it was asked."""

    def __init__(self, *answers: TokenAnswer | object) -> None:
        self._answers = [a if isinstance(a, TokenAnswer) else TokenAnswer(200, json.dumps(a).encode(), DATE) for a in answers]
        self.asked: list[tuple[str, str, dict[str, str], bytes | None]] = []

    def __call__(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> TokenAnswer:
        self.asked.append((method, url, headers, body))
        return self._answers[min(len(self.asked), len(self._answers)) - 1]

    @property
    def methods(self) -> list[str]:
        return [method for method, *_ in self.asked]


def authorizer(server: TokenServer, login: Credentials | None = None, naps: Naps | None = None, *, base: str = BASE, token_servers: tuple[str, ...] = ()) -> Authorizer:
    return Authorizer("registry.example.com", lambda: login, server, (naps or Naps()).clock, base=base, token_servers=token_servers)


def bearer(realm: str = REALM, scope: str = SCOPE, service: str = "registry") -> tuple[Challenge, ...]:
    return (Challenge("bearer", (("realm", realm), ("service", service), ("scope", scope))),)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ({}, 55),  # the specification's 60, renewed 5 early
        ({"expires_in": 300}, 295),
        ({"expires_in": "300"}, 295),
        ({"expires_in": None}, 55),
        ({"expires_in": 300, "issued_at": "2026-03-02T09:59:00Z"}, 235),  # a minute old by the server's own clock
        ({"expires_in": 300, "issued_at": "2026-03-02T09:59:00.123456789Z"}, 235.1),
        ({"expires_in": 300, "issued_at": "2026-03-02T10:59:00+01:00"}, 235),
        ({"expires_in": 300, "issued_at": "2026-03-02T12:00:00Z"}, 295),  # from the future
        ({"expires_in": 300, "issued_at": "2020-01-01T00:00:00Z"}, 5),  # over already: used once or twice
        ({"expires_in": 300, "issued_at": "yesterday"}, 295),
        ({"expires_in": 300, "issued_at": 7}, 295),
        ({"expires_in": 3}, 5),
        ({"expires_in": -9}, 5),
        ({"expires_in": 1e300}, 24 * 3600),
        ({"expires_in": float("inf")}, 24 * 3600),
        ({"expires_in": float("nan")}, 5),
    ],
)
def test_a_token_is_used_until_shortly_before_its_end(naps: Naps, value: dict[str, object], seconds: float) -> None:
    logins = authorizer(TokenServer({"token": "t", **value}), naps=naps)
    assert logins.answer(bearer(), SCOPE, None) == "Bearer t"
    naps.sleep(seconds - 1)
    assert logins.header(SCOPE) == "Bearer t"
    naps.sleep(1.1)
    assert logins.header(SCOPE) is None


def test_each_scope_is_a_parameter_of_its_own() -> None:
    server = TokenServer({"access_token": "t"})
    authorizer(server).answer(bearer(f"{REALM}?account=me", f"{SCOPE} repository:other:pull"), SCOPE, None)
    ((method, url, headers, body),) = server.asked
    assert (method, headers, body) == ("GET", {}, None)
    assert parse_qsl(urlsplit(url).query) == [
        ("account", "me"), ("service", "registry"), ("scope", SCOPE), ("scope", "repository:other:pull")
    ]


PASSWORD = Credentials("me", "s3cret")
REFRESH = Credentials("", "", "refresh-me")
BOTH = Credentials("me", "s3cret", "refresh-me")
GOOD = {"token": "t"}


@pytest.mark.parametrize(
    ("login", "statuses", "methods"),
    [
        (None, [], ["GET"]),
        (PASSWORD, [], ["GET"]),
        (PASSWORD, [404], ["GET", "POST"]),
        (PASSWORD, [405], ["GET", "POST"]),
        (REFRESH, [], ["POST"]),
        (BOTH, [], ["POST"]),
        *((BOTH, [status], ["POST", "GET"]) for status in (400, 401, 404, 405)),
    ],
)
def test_a_token_server_that_knows_one_way_only_is_asked_that_way(
    login: Credentials | None, statuses: list[int], methods: list[str]
) -> None:
    server = TokenServer(*(TokenAnswer(status, b"") for status in statuses), GOOD)
    assert authorizer(server, login).answer(bearer(), SCOPE, None) == "Bearer t"
    assert server.methods == methods


@pytest.mark.parametrize(("login", "status"), [(PASSWORD, 401), (PASSWORD, 403), (REFRESH, 401), (REFRESH, 400), (None, 401)])
def test_a_refused_login_is_one_to_make_again(login: Credentials | None, status: int) -> None:
    server = TokenServer(TokenAnswer(status, b""))
    with pytest.raises(UpstreamUnauthorized, match=r"auth\.example\.com gave no token for 'repository:team/app:pull'") as caught:
        authorizer(server, login).answer(bearer(), SCOPE, None)
    assert "docker login registry.example.com" in caught.value.remedy
    assert len(server.asked) == 1


def test_a_password_and_a_refresh_token_go_as_a_form() -> None:
    server = TokenServer(GOOD)
    authorizer(server, REFRESH).answer(bearer(), SCOPE, None)
    authorizer(TokenServer(), None)
    _, url, headers, body = server.asked[0]
    assert url == REALM
    assert headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert dict(parse_qsl((body or b"").decode())) == {
        "service": "registry", "scope": SCOPE, "client_id": "airseal", "grant_type": "refresh_token", "refresh_token": "refresh-me"
    }
    server = TokenServer(TokenAnswer(405, b""), GOOD)
    authorizer(server, PASSWORD).answer(bearer(), SCOPE, None)
    form = dict(parse_qsl((server.asked[1][3] or b"").decode()))
    assert (form["grant_type"], form["username"], form["password"]) == ("password", "me", "s3cret")


@pytest.mark.parametrize("status", [204, 302, 402, 404, 418])
def test_a_token_server_that_does_something_else_is_no_missing_image(status: int) -> None:
    with pytest.raises(UpstreamError, match=f"the token server of registry.example.com, answered HTTP {status}") as caught:
        authorizer(TokenServer(TokenAnswer(status, b""))).answer(bearer(), SCOPE, None)
    assert caught.value.status == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{}", b'{"token": 5}', b'{"token": ""}', b'{"token": "a\\nb"}', b'{"token": "\\ud800"}', b"[" * 60000, b"\xff", b'{"token": "t", "expires_in": [1]}', b'{"token": "t", "expires_in": "soon"}'],
)
def test_garbage_is_no_token(body: bytes) -> None:
    with pytest.raises(UpstreamError, match="gave no token") as caught:
        authorizer(TokenServer(TokenAnswer(200, body))).answer(bearer(), SCOPE, None)
    assert caught.value.remedy


@given(st.binary(max_size=200) | st.recursive(st.none() | st.floats() | st.text() | st.integers(), lambda v: st.lists(v) | st.dictionaries(st.sampled_from(["token", "expires_in", "issued_at"]), v)).map(lambda v: json.dumps(v).encode()), st.text(max_size=40))
def test_whatever_a_token_server_says_is_a_token_or_a_named_error(body: bytes, date: str) -> None:
    try:
        header = authorizer(TokenServer(TokenAnswer(200, body, date))).answer(bearer(), SCOPE, None)
    except UpstreamError:
        return
    assert header is not None
    assert header.isascii()
    assert header.isprintable()


@pytest.mark.parametrize(
    ("realm", "words"),
    [
        ("http://auth.example.com/token", "not encrypted"),
        ("ftp://auth.example.com/token", "not encrypted"),
        ("token", "not encrypted"),
        ("https://[", "no URL"),
    ],
)
def test_a_login_goes_to_no_realm_but_https(realm: str, words: str) -> None:
    server = TokenServer(GOOD)
    with pytest.raises(UpstreamError, match=words):
        authorizer(server, PASSWORD).answer(bearer(realm), SCOPE, None)
    assert server.asked == []


def test_a_registry_without_tls_may_have_a_token_server_without() -> None:
    assert authorizer(TokenServer(GOOD), base="http://registry.example.com/v2").answer(bearer("http://auth/token"), SCOPE, None) == "Bearer t"


BASIC = (Challenge("basic", (("realm", "x"),)),)


@pytest.mark.parametrize(
    ("base", "challenges", "words"),
    [
        ("http://registry.example.com/v2", BASIC, "registry.example.com is asked without encryption"),
        ("http://registry.example.com/v2", bearer(), "registry.example.com is asked without encryption"),  # the realm may be a thief's
        ("http://localhost:5000/v2", bearer("http://auth.example.com/token"), "auth.example.com is asked without encryption"),
        (BASE, bearer("https://example.com.evil.example/token"), "example.com.evil.example, which is of another site"),
        (BASE, bearer("https://auth.example.org/token"), "auth.example.org, which is of another site"),
        ("https://registry.co.uk/v2", bearer("https://evil.co.uk/token"), "another site"),
        ("https://10.0.0.5/v2", bearer("https://10.0.0.6/token"), "another site"),
        ("https://registry/v2", bearer("https://auth/token"), "another site"),
    ],
)
def test_a_login_goes_to_its_own_site_and_never_in_clear(base: str, challenges: tuple[Challenge, ...], words: str) -> None:
    server = TokenServer(GOOD)
    for login in (PASSWORD, REFRESH) if challenges is not BASIC else (PASSWORD,):
        with pytest.raises(UpstreamUnauthorized, match=words) as caught:
            authorizer(server, login, base=base).answer(challenges, SCOPE, None)
        assert caught.value.remedy
    assert server.asked == []
    if urlsplit(base).scheme == "https":  # without a login there is nothing to guard
        assert authorizer(server, base=base).answer(challenges, SCOPE, None) == "Bearer t"


@pytest.mark.parametrize(
    ("base", "challenges", "token_servers", "answer"),
    [
        (BASE, BASIC, (), "Basic bWU6czNjcmV0"),
        ("http://localhost:5000/v2", BASIC, (), "Basic bWU6czNjcmV0"),
        ("http://127.0.0.1:5000/v2", bearer("http://127.0.0.1:5001/token"), (), "Bearer t"),
        (BASE, bearer("https://registry.example.com:8443/token"), (), "Bearer t"),
        ("https://registry-1.docker.io/v2", bearer("https://auth.docker.io/token"), (), "Bearer t"),
        (BASE, bearer("https://login.example.net/token"), ("login.example.net",), "Bearer t"),
    ],
)
def test_where_a_login_goes(base: str, challenges: tuple[Challenge, ...], token_servers: tuple[str, ...], answer: str) -> None:
    logins = authorizer(TokenServer(GOOD), PASSWORD, base=base, token_servers=token_servers)
    assert logins.answer(challenges, SCOPE, None) == answer


def test_many_requests_whose_token_expired_at_once_share_one_new_token() -> None:
    server = TokenServer({"token": "old"}, {"token": "new"}, {"token": "wasted"})
    logins = authorizer(server)
    old = logins.answer(bearer(), SCOPE, None)
    together = threading.Barrier(8)

    def refused() -> str | None:
        together.wait(10)
        return logins.answer(bearer(), SCOPE, old)

    with ThreadPoolExecutor(8) as threads:
        answers = {threads.submit(refused) for _ in range(8)}
    assert {future.result() for future in answers} == {"Bearer new"}
    assert len(server.asked) == 2


def test_basic_is_answered_only_with_a_user() -> None:
    basic = (Challenge("negotiate"), Challenge("basic"))
    assert authorizer(TokenServer(), PASSWORD).answer(basic, SCOPE, None) == PASSWORD.basic()
    assert authorizer(TokenServer(), REFRESH).answer(basic, SCOPE, None) is None
    assert authorizer(TokenServer(), None).answer(basic, SCOPE, None) is None
    assert authorizer(TokenServer(), PASSWORD).answer((), SCOPE, None) is None
