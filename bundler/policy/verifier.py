"""Verifier: a public key that images are signed with, as cosign writes it (PEM), and what a signature by it looks like.

ECDSA on P-256 with SHA-256, on P-384 with SHA-384 or, as cosign does unless told otherwise, SHA-256; Ed25519 of the message itself; RSA of
2048 bits and more, PKCS #1 v1.5 with SHA-256. Source: cosign and sigstore's ``signature.LoadVerifier``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bundler.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

MOST_BYTES: Final = 16 * 1024  # of a file with a key: one of RSA 4096 has 800
LEAST_RSA: Final = 2048  # bits
_CURVES: Final = ("secp256r1", "secp384r1")
_KINDS: Final = "name a PEM file with one public key: ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 bits and more (cosign public-key --key cosign.key writes it)"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key, by its SubjectPublicKeyInfo in DER; ``name`` is what the policy calls its file."""

    name: str
    der: bytes

    @classmethod
    def load(cls, path: Path, name: str) -> Verifier:
        """Return the key in a file. Raises UsageError for one that cannot be read, or holds no such key."""
        try:
            with path.open("rb") as file:
                pem = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise UsageError(f"the key {name} cannot be read: {error.strerror}", _KINDS) from None
        return cls.parse(pem, name)

    @classmethod
    def parse(cls, pem: bytes, name: str) -> Verifier:
        """Return the key that PEM holds. Raises UsageError."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization

        if len(pem) > MOST_BYTES:
            raise UsageError(f"the key {name} has more than {MOST_BYTES} bytes", _KINDS)
        if b"PRIVATE KEY-----" in pem:
            raise UsageError(f"the key {name} is a private key, which a policy has no use for", _KINDS)
        if b"-----BEGIN CERTIFICATE-----" in pem:
            raise UsageError(f"the key {name} is a certificate: chains of them are not verified here", _KINDS)
        if pem.count(b"-----BEGIN ") != 1:
            raise UsageError(f"the key {name} is not one public key in PEM", _KINDS)
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise UsageError(f"the key {name} is no public key in PEM", _KINDS) from None
        if not _is_taken(key):
            raise UsageError(f"the key {name} is of a kind that is not taken", _KINDS)
        return cls(name, key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))

    @property
    def fingerprint(self) -> str:
        """Its SHA-256, ``sha256:HEX``: of the file in DER, as ``openssl pkey -pubin -outform DER | sha256sum`` has it."""
        return f"sha256:{hashlib.sha256(self.der).hexdigest()}"

    def made(self, signature: bytes, message: bytes) -> bool:
        """Tell whether it has signed ``message``."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

        key = serialization.load_der_public_key(self.der)
        try:
            if isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, message)
            elif isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
            elif isinstance(key, ec.EllipticCurvePublicKey):
                return _by_curve(key, signature, message)
            else:
                return False
        except InvalidSignature:
            return False
        return True


def _by_curve(key: object, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - for the type checker
    kinds: tuple[hashes.HashAlgorithm, ...] = (hashes.SHA256(),) if key.curve.name == _CURVES[0] else (hashes.SHA384(), hashes.SHA256())
    for kind in kinds:
        try:
            key.verify(signature, message, ec.ECDSA(kind))
        except InvalidSignature:
            continue
        return True
    return False


def _is_taken(key: PublicKeyTypes) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name in _CURVES
    return isinstance(key, ed25519.Ed25519PublicKey) or (isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_RSA)
