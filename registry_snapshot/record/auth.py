"""Answers to ``401``: which Authorization header a registry wants.

Source: distribution's ``spec/auth/token`` (Bearer), RFC 7617 (Basic), RFC 9110 section 11 (challenges).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlencode, urlsplit

from registry_snapshot.errors import UpstreamError, UpstreamUnauthorized
from registry_snapshot.record.credentials import Credentials

_SCHEME = re.compile(r"\s*([A-Za-z]+)(?=\s|,|$)\s*(?!=)")
_PARAMETER = re.compile(r"\s*,?\s*([A-Za-z_]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s,\"]+))")
_DEFAULT_SECONDS = 60  # the token specification: an answer without expires_in lives that long
_EARLY_SECONDS = 5  # a token is renewed this much before its end, so that it does not expire on the way
CLIENT_ID = "airseal"


@dataclass(frozen=True, slots=True)
class Challenge:
    """One offer of a ``WWW-Authenticate`` header: a scheme in lower case and its parameters."""

    scheme: str
    parameters: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """Return a parameter, empty if it is not there."""
        return dict(self.parameters).get(name, "")


def parse_challenges(lines: Iterable[str]) -> tuple[Challenge, ...]:
    """Return every challenge of every header line, in order. What cannot be understood is passed over."""
    found: list[Challenge] = []
    for line in lines:
        at = 0
        while match := _SCHEME.match(line, at):
            scheme, at = match[1].lower(), match.end()
            parameters: list[tuple[str, str]] = []
            while pair := _PARAMETER.match(line, at):
                quoted, plain = pair[2], pair[3]
                parameters.append((pair[1].lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain))
                at = pair.end()
            found.append(Challenge(scheme, tuple(parameters)))
            while at < len(line) and line[at] in ", ":
                at += 1
    return tuple(found)


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What a token server said."""

    status: int
    body: bytes = field(repr=False)


class TokenTransport(Protocol):
    """How a token server is asked. Follows no redirects; raises UpstreamError if no answer comes."""

    def __call__(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> TokenAnswer:
        """Send one request."""


class Authorizer:
    """Authorization headers for one registry: tokens by scope, kept until they expire. Safe for threads."""

    def __init__(
        self,
        registry: str,
        credentials: Callable[[], Credentials | None],
        transport: TokenTransport,
        clock: Callable[[], float],
        *,
        secure: bool,
    ) -> None:
        self._registry = registry
        self._credentials = credentials
        self._transport = transport
        self._clock = clock
        self._secure = secure
        self._tokens: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def header(self, scope: str) -> str | None:
        """Return the Authorization header that is known to work for ``scope``, None if none is."""
        with self._lock:
            value, expires = self._tokens.get(scope, ("", 0.0))
        return value if value and self._clock() < expires else None

    def answer(self, challenges: tuple[Challenge, ...], scope: str) -> str | None:
        """Return a new header that answers ``challenges``, None if there is none we can give.

        Raises UpstreamUnauthorized if the token server refuses, UpstreamError if it fails.
        """
        for challenge in challenges:
            if challenge.scheme == "bearer" and challenge.get("realm"):
                value, seconds = self._token(challenge, challenge.get("scope") or scope)
                return self._keep(scope, f"Bearer {value}", seconds)
        credentials = self._credentials()
        if any(challenge.scheme == "basic" for challenge in challenges) and credentials is not None and credentials.username:
            return self._keep(scope, credentials.basic(), float("inf"))
        return None

    def forget(self, scope: str) -> None:
        """Drop a header that was refused."""
        with self._lock:
            self._tokens.pop(scope, None)

    def _keep(self, scope: str, value: str, seconds: float) -> str:
        with self._lock:
            self._tokens[scope] = (value, self._clock() + seconds)
        return value

    def _token(self, challenge: Challenge, scope: str) -> tuple[str, float]:
        realm = challenge.get("realm")
        if urlsplit(realm).scheme not in ({"https"} if self._secure else {"http", "https"}):
            raise UpstreamError(
                f"{self._registry} sends logins to {realm[:200]}, which is not encrypted", "ask its operator to use https there"
            )
        credentials = self._credentials()
        wanted = {"service": challenge.get("service"), "scope": scope}
        query = {name: text for name, text in wanted.items() if text}
        if credentials is not None and credentials.identity_token:
            answer = self._refresh(realm, query, credentials)
        else:
            headers = {"Authorization": credentials.basic()} if credentials is not None else {}
            separator = "&" if urlsplit(realm).query else "?"
            answer = self._transport("GET", f"{realm}{separator}{urlencode(query)}", headers, None)
        if answer.status in {400, 401, 403}:
            raise UpstreamUnauthorized(
                f"{urlsplit(realm).hostname} gave no token for {scope} (HTTP {answer.status})",
                f"run: docker login {self._registry}",
                status=answer.status,
            )
        if answer.status != 200:
            raise UpstreamError(
                f"{urlsplit(realm).hostname}, the token server of {self._registry}, answered HTTP {answer.status}",
                "run again later",
                status=answer.status,
            )
        return self._parse(answer.body)

    def _refresh(self, realm: str, query: dict[str, str], credentials: Credentials) -> TokenAnswer:
        form = {**query, "grant_type": "refresh_token", "refresh_token": credentials.identity_token, "client_id": CLIENT_ID}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._transport("POST", realm, headers, urlencode(form).encode())

    def _parse(self, body: bytes) -> tuple[str, float]:
        try:
            value = json.loads(body)
            token = value.get("token") or value.get("access_token")
            seconds = float(value.get("expires_in") or _DEFAULT_SECONDS)
        except (ValueError, TypeError, AttributeError):
            token, seconds = None, 0.0
        if not isinstance(token, str) or not token or not token.isprintable():
            raise UpstreamError(f"the token server of {self._registry} gave no token", "run again later")
        return token, max(seconds - _EARLY_SECONDS, _EARLY_SECONDS)
