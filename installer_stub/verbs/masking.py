"""Masking by kind: what looks like a key, a token or a password is starred, also where nobody told us of it."""

from __future__ import annotations

import re
from typing import Final

from installer_stub.host.command import Secret

STARS: Final = "******"
_KINDS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # PEM keys of any kind, also cut off at the end, and as one line with \n in JSON.
    (re.compile(r"(-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----).*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL), rf"\1{STARS}\2"),
    # A base64 PEM key in a kubeconfig: "-----BEGIN" encoded.
    (re.compile(r"((?:client-key-data|token|client-secret)\"?\s*:\s*\"?)[^\s\"',}]+"), rf"\1{STARS}"),
    (re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]{40,}"), STARS),
    # Bootstrap tokens of kubeadm, and JSON web tokens of service accounts.
    (re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b"), STARS),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"), STARS),
    # Headers, and passwords in URLs and in the words of programs.
    (re.compile(r"((?:Authorization|Proxy-Authorization)['\"]?\s*[:=]\s*['\"]?(?:Basic|Bearer)\s+)[A-Za-z0-9+/=._~-]+", re.IGNORECASE), rf"\1{STARS}"),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@\"']+:)[^\s/@\"']+(?=@)", re.IGNORECASE), rf"\1{STARS}"),
    (
        re.compile(r"((?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?key|certificate-key|certificateKey|encryption[_-]?key)\"?\s*[:=]\s*\"?)[^\s\"',}]+", re.IGNORECASE),
        rf"\1{STARS}",
    ),
    # In pods, an environment's value stands a line after its name.
    (
        re.compile(r"(\"name\"\s*:\s*\"[^\"]*(?:PASSWORD|PASSWD|SECRET|TOKEN|KEY|CREDENTIAL)[^\"]*\"\s*,\s*\"value\"\s*:\s*\")(?:[^\"\\]|\\.)*", re.IGNORECASE),
        rf"\1{STARS}",
    ),
)


def mask_known_kinds(text: str) -> str:
    """Return ``text`` with everything starred that has the form of a secret."""
    for pattern, instead in _KINDS:
        text = pattern.sub(instead, text)
    return text


def secrets_in(credential: str) -> tuple[Secret, ...]:
    """Return what must not be seen of a ``user:password`` file: the password, and the header that both make."""
    import base64

    line = credential.strip()
    _, colon, password = line.partition(":")
    if not colon or not password:
        return ()
    return Secret(password), Secret(base64.b64encode(line.encode()).decode())
