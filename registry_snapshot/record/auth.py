"""Answers to ``401``: which Authorization header a registry wants.

To whom logins may go stands in ``login_rules``.

Source: distribution's ``spec/auth/token`` and ``spec/auth/oauth`` (Bearer), RFC 7617 (Basic). Which statuses of a token
server mean "ask me the other way" is containerd's list (``core/remotes/docker/authorizer.go``).
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol
from urllib.parse import urlencode, urlsplit

from registry_snapshot.errors import UpstreamError, UpstreamUnauthorized
from registry_snapshot.record.challenge import Challenge
from registry_snapshot.record.credentials import Credentials
from registry_snapshot.record.login_rules import is_confidential, is_of_site
from registry_snapshot.record.transport import host_of

_DEFAULT_SECONDS = 60  # the token specification: an answer without expires_in lives that long
_LONGEST_SECONDS = 24 * 3600.0
_EARLY_SECONDS = 5  # a token is renewed this much before its end, so that it does not expire on the way
_NO_POST = frozenset({400, 401, 404, 405})  # as ACR, JFrog, GCR and others answer a POST they do not know
_NO_GET = frozenset({404, 405})
CLIENT_ID = "airseal"


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What a token server said; ``date`` is its ``Date`` header."""

    status: int
    body: bytes = field(repr=False)
    date: str = ""


class TokenTransport(Protocol):
    """How a token server is asked. Follows no redirects; raises UpstreamError if no answer comes."""

    def __call__(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> TokenAnswer:
        """Send one request."""


class Authorizer:
    """Authorization headers for one registry, asked at ``base``: tokens by scope, kept until they expire. Safe for threads.

    ``registry`` is what its login is called. ``token_servers`` are hosts of other sites that may have it too.
    """

    def __init__(
        self,
        registry: str,
        credentials: Callable[[], Credentials | None],
        transport: TokenTransport,
        clock: Callable[[], float],
        *,
        base: str,
        token_servers: tuple[str, ...] = (),
    ) -> None:
        self._registry = registry
        self._credentials = credentials
        self._transport = transport
        self._clock = clock
        self._base = base
        self._homes = (urlsplit(base).hostname or "", urlsplit(f"//{registry}").hostname or "", *token_servers)
        self._tokens: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._asking = threading.Lock()

    def header(self, scope: str) -> str | None:
        """Return the Authorization header that is known to work for ``scope``, None if none is."""
        with self._lock:
            value, expires = self._tokens.get(scope, ("", 0.0))
        return value if value and self._clock() < expires else None

    def answer(self, challenges: tuple[Challenge, ...], scope: str, refused: str | None) -> str | None:
        """Return a new header that answers ``challenges``, None if there is none we can give.

        ``refused`` is what did not work. Many requests may find out at once that a token has expired: the first asks for
        a new one, the others wait for it. Raises UpstreamUnauthorized if the token server refuses, UpstreamError if it
        fails.
        """
        with self._asking:
            known = self.header(scope)
            if known is not None and known != refused:
                return known
            with self._lock:
                self._tokens.pop(scope, None)
            for challenge in challenges:
                if challenge.scheme == "bearer" and challenge.get("realm"):
                    value, seconds = self._token(challenge, _asked(challenge.get("scope"), scope))
                    return self._keep(scope, f"Bearer {value}", seconds)
            credentials = self._credentials()
            basic = any(challenge.scheme == "basic" for challenge in challenges)
            if basic and credentials is not None and credentials.username:
                self._check_way(self._base)
                return self._keep(scope, credentials.basic(), math.inf)
            return None

    def _keep(self, scope: str, value: str, seconds: float) -> str:
        with self._lock:
            self._tokens[scope] = (value, self._clock() + seconds)
        return value

    def _token(self, challenge: Challenge, scope: str) -> tuple[str, float]:
        realm, host = challenge.get("realm"), _host(challenge.get("realm"))
        if urlsplit(realm).scheme not in ({"https"} if urlsplit(self._base).scheme == "https" else {"http", "https"}):
            raise UpstreamError(
                f"{self._registry} sends logins to {host}, which is not encrypted", "ask its operator to use https there"
            )
        answer = self._ask(realm, challenge.get("service"), scope)
        if answer.status in {400, 401, 403}:
            raise UpstreamUnauthorized(
                f"{host} gave no token for {scope[:300]!r} (HTTP {answer.status})",
                f"run: docker login {self._registry}",
                status=answer.status,
            )
        if answer.status != 200:
            raise UpstreamError(
                f"{host}, the token server of {self._registry}, answered HTTP {answer.status}",
                "run again later, or ask the registry's operator",
            )
        return self._parse(answer)

    def _ask(self, realm: str, service: str, scope: str) -> TokenAnswer:
        """Ask in the way that fits the login, and in the other one if the token server does not know that."""
        credentials = self._credentials()
        if credentials is None:
            return self._get(realm, service, scope, None)
        self._check_way(self._base)  # who can change the challenge on its way chooses where the login goes
        self._check_way(realm)
        self._check_site(realm)
        if credentials.identity_token:
            grant = {"grant_type": "refresh_token", "refresh_token": credentials.identity_token}
            answer = self._post(realm, service, scope, grant)
            if answer.status in _NO_POST and credentials.username and credentials.password:
                return self._get(realm, service, scope, credentials)
            return answer
        answer = self._get(realm, service, scope, credentials)
        if answer.status in _NO_GET:
            grant = {"grant_type": "password", "username": credentials.username, "password": credentials.password}
            return self._post(realm, service, scope, grant)
        return answer

    def _check_way(self, url: str) -> None:
        if not is_confidential(url):
            raise UpstreamUnauthorized(
                f"{self._registry} wants a login, and {_host(url)} is asked without encryption, where anybody could read it",
                f"ask it over https; if it answers without a login too, run: docker logout {self._registry}",
            )

    def _check_site(self, realm: str) -> None:
        host = urlsplit(realm).hostname or ""
        if not is_of_site(host, self._homes):
            raise UpstreamUnauthorized(
                f"{self._registry} wants its login sent to {host}, which is of another site",
                f"if {host} is known to be its token server, write into the file of mirrors: token_servers: [{host}]",
            )

    def _get(self, realm: str, service: str, scope: str, credentials: Credentials | None) -> TokenAnswer:
        query = [("service", service)] if service else []
        query += [("scope", part) for part in scope.split()]  # the specification: one parameter for each
        separator = "&" if urlsplit(realm).query else "?"
        headers = {"Authorization": credentials.basic()} if credentials is not None else {}
        return self._transport("GET", f"{realm}{separator}{urlencode(query)}", headers, None)

    def _post(self, realm: str, service: str, scope: str, grant: dict[str, str]) -> TokenAnswer:
        form = {"service": service, "scope": scope, "client_id": CLIENT_ID, **grant}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._transport("POST", realm, headers, urlencode({key: text for key, text in form.items() if text}).encode())

    def _parse(self, answer: TokenAnswer) -> tuple[str, float]:
        try:
            value = json.loads(answer.body)
            token = value.get("token") or value.get("access_token")
            seconds = float(value.get("expires_in") or _DEFAULT_SECONDS) - _age(value.get("issued_at"), answer.date)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            token, seconds = None, 0.0
        if not isinstance(token, str) or not token or not token.isprintable() or not token.isascii():
            raise UpstreamError(
                f"the token server of {self._registry} gave no token", "run again later, or ask the registry's operator"
            )
        # A comparison with NaN is false, so that nonsense lives as short as a token that is over.
        kept = min(seconds - _EARLY_SECONDS, _LONGEST_SECONDS) if seconds > 2 * _EARLY_SECONDS else _EARLY_SECONDS
        return token, kept


def _asked(offered: str, scope: str) -> str:
    """Return what to ask a token for. A registry that is asked whether it has a blob offers ``pull`` alone, and what follows pushes."""
    if "push" not in scope:
        return offered or scope
    return " ".join(dict.fromkeys([*scope.split(), *(part for part in offered.split() if not _covers(scope, part))]))


def _covers(scope: str, part: str) -> bool:
    name, _, actions = part.rpartition(":")
    wanted = set(actions.split(","))
    return any(wanted <= set(each.rpartition(":")[2].split(",")) for each in scope.split() if each.rpartition(":")[0] == name)


def _age(issued: object, date: str) -> float:
    """Return how many seconds old a token was when it came, by the token server's own clock where it tells that."""
    if not isinstance(issued, str):
        return 0.0
    try:
        began = datetime.fromisoformat(issued)
        now = parsedate_to_datetime(date) if date else datetime.now(UTC)
        return max((_aware(now) - _aware(began)).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _host(realm: str) -> str:
    """Return the host in a realm, for people. Raises UpstreamError for what is no URL."""
    try:
        return host_of(realm) if urlsplit(realm).hostname else repr(realm[:100])
    except ValueError:
        raise UpstreamError(f"{realm[:100]!r}, which should give tokens, is no URL", "ask the registry's operator") from None
