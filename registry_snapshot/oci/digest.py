"""Digest: the name of bytes by their content.

Grammar and registered algorithms: OCI image-spec, descriptor.md, "Digests".
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol

from registry_snapshot.errors import DigestInvalid

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_ENCODED = re.compile(r"[a-f0-9]+")


class Hasher(Protocol):
    """The part of a hashlib object that we use."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Feed bytes."""

    def hexdigest(self) -> str:
        """Return the hash of everything fed, in lower-case hex."""


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """``sha256:…`` or ``sha512:…``. Compares and sorts by its text.

    >>> str(Digest.of(b""))[:14]
    'sha256:e3b0c44'
    """

    algorithm: str
    encoded: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Return the digest that ``text`` spells. Raises DigestInvalid."""
        algorithm, colon, encoded = text.partition(":")
        if not colon or len(encoded) != _HEX_LENGTH.get(algorithm) or not _ENCODED.fullmatch(encoded):
            raise DigestInvalid(f"{text[:200]!r} is not a digest", "write sha256: and 64 hex digits (or sha512: and 128)")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Digest:
        """Return the digest of ``data``."""
        hasher = hashlib.new(algorithm)
        hasher.update(data)
        return cls(algorithm, hasher.hexdigest())

    def hasher(self) -> Hasher:
        """Return a fresh hasher of this digest's algorithm."""
        return hashlib.new(self.algorithm)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"
