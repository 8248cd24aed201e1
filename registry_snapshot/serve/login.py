"""A login before an app: whoever holds the one credential reads everything, all others nothing.

One user and one password (a random one, at a site), asked for by Basic: every registry client answers that challenge by
itself, needs no second server for tokens, and containerd can send it unasked from ``hosts.toml``. It travels in clear inside
HTTP, so whoever starts a server with a login sees to TLS.

Source: RFC 7617 (Basic), RFC 9110 section 11 (challenges), OCI distribution-spec "Error Codes" (UNAUTHORIZED).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

from registry_snapshot.serve.error_body import error_response
from registry_snapshot.serve.http_server import App
from registry_snapshot.serve.messages import Request, Response

_log = logging.getLogger(__name__)
HEALTH: Final = "/healthz"
_CHALLENGE: Final = (
    ("WWW-Authenticate", 'Basic realm="airseal"'),
    # "Clients may require this header value to determine if the endpoint serves this API", on 401 too: docker's own
    # description of the protocol, "API Version Check".
    ("Docker-Distribution-Api-Version", "registry/2.0"),
)


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and a password. Printing it shows the user alone."""

    user: str
    password: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what the first line of ``text`` spells: ``user:password``. Only the password may hold a colon.

        Raises ValueError, which does not hold the text. RFC 7617 section 2: neither part may hold control characters.
        """
        line = text.partition("\n")[0].removesuffix("\r")
        user, colon, password = line.partition(":")
        if not colon or not user or not password or not line.isprintable():
            raise ValueError("not user:password")
        return cls(user, password)

    def authorization(self) -> str:
        """Return the value of the Authorization header that it makes: as secret as the password."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class LoginRequired:
    """Shows ``app`` to requests that carry ``credential``, and answers 401 to all others. Keeps a hash, not the password.

    ``/healthz`` stays open: it is asked by supervisors and load balancers, which should hold no secret for it, and it says
    nothing but that the process answers. Everything else wants the login: also whether a name exists, and what metrics say.
    """

    def __init__(self, app: App, credential: Credential) -> None:
        self._app = app
        self._expected = hashlib.sha256(f"{credential.user}:{credential.password}".encode()).digest()

    def handle(self, request: Request) -> Response:
        """Return the app's answer, or 401 with the challenge that makes clients send their login (RFC 9110, 15.5.2)."""
        if self._lets_in(request.headers.all("Authorization")):
            return self._app.handle(request)
        if request.path == HEALTH:
            return replace(self._app.handle(request), to_stranger=True)
        _log.info("%s %.200r for %s: no login, or a wrong one", request.method, request.path, request.client)
        message = "authentication required: log in with this registry's user and password"
        response = error_response(401, "UNAUTHORIZED", message, _CHALLENGE)
        return replace(response, body=None if request.method == "HEAD" else response.body, to_stranger=True)

    def _lets_in(self, lines: Sequence[str]) -> bool:
        given = _basic(lines[0]) if len(lines) == 1 else None
        # Hashes have one length and are compared to their end: the time it takes tells nothing about the password.
        return given is not None and hmac.compare_digest(hashlib.sha256(given).digest(), self._expected)


def _basic(value: str) -> bytes | None:
    """Return the ``user:password`` of an Authorization header; None for another scheme and for what cannot be understood."""
    scheme, _, token = value.strip().partition(" ")
    if scheme.lower() != "basic":  # RFC 9110, 11.1: schemes compare without case
        return None
    try:
        return base64.b64decode(token.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
