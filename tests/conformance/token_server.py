"""A token server: what Harbor, GitLab and Docker Hub have beside their registry, for the real distribution.

It gives ``bob`` tokens for what ``may`` names, and leaves out of a token what he may not do, as real ones do.

Source: distribution, ``docs/content/spec/auth/{token,jwt,scope}.md``.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import secrets
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from tests.conformance.distribution import PASSWORD, USER

_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "token server")])


class TokenServer:
    """Gives tokens between ``with`` and its end. ``may`` is repository → actions; ``asked`` are the scopes of every request."""

    def __init__(self, may: Mapping[str, frozenset[str]], seconds: int = 300) -> None:
        self.may = may
        self.seconds = seconds
        self.asked: list[tuple[str, ...]] = []
        self._key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        self._certificate = (
            x509.CertificateBuilder().subject_name(_NAME).issuer_name(_NAME).public_key(self._key.public_key()).serial_number(1)
            .not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(self._key, hashes.SHA256())
        )  # fmt: skip
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"tokens": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def auth(self, directory: Path) -> str:
        """Return the part of distribution's configuration that sends everybody here."""
        (directory / "token.pem").write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        realm = f"http://127.0.0.1:{self._server.server_address[1]}/token"
        return f'auth: {{token: {{realm: "{realm}", service: reg, issuer: tests, rootcertbundle: "{directory / "token.pem"}"}}}}'

    def token(self, scopes: list[str]) -> str:
        """Return a token for those of ``scopes`` that ``may`` allows."""
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            given = sorted(set(actions.split(",")) & self.may.get(name, frozenset()))
            access.append({"type": kind, "name": name, "actions": given})
        now = int(time.time())
        claims = {"iss": "tests", "sub": USER, "aud": "reg", "exp": now + self.seconds, "nbf": now - 10, "iat": now, "jti": secrets.token_hex(8), "access": access}
        chain = [base64.b64encode(self._certificate.public_bytes(serialization.Encoding.DER)).decode()]
        signed = f"{_part({'typ': 'JWT', 'alg': 'ES256', 'x5c': chain})}.{_part(claims)}"
        first, second = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encoded(first.to_bytes(32, 'big') + second.to_bytes(32, 'big'))}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    tokens: TokenServer

    def do_GET(self) -> None:
        scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
        self.tokens.asked.append(tuple(scopes))
        is_bob = self.headers.get("Authorization") == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        body = json.dumps({"token": self.tokens.token(scopes), "expires_in": self.tokens.seconds}).encode() if is_bob else b"{}"
        self.send_response(200 if is_bob else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


def _part(value: Mapping[str, object]) -> str:
    return _encoded(json.dumps(value).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
