"""PublicKey: one that signs for us. Ed25519 (RFC 8709) or ECDSA on a NIST curve (RFC 5656), as SSH writes them.

RSA is not taken: there are signatures of too many strengths, and nobody needs a new key of that kind. Keys of security
tokens (``sk-``) sign other data than they are given; a token that speaks PKCS#11 holds an ECDSA key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from installer_stub.errors import SignatureError
from installer_stub.trust.wire import Reader, WireError, string

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurve, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519: Final = "ssh-ed25519"
_ED25519_SIGNATURE: Final = 64  # bytes
CURVES: Final = MappingProxyType({f"ecdsa-sha2-{curve}": curve for curve in ("nistp256", "nistp384", "nistp521")})
KINDS: Final = frozenset({ED25519, *CURVES})
OTHER_KIND: Final = f"keys are {', '.join(sorted(KINDS))}: make one with ssh-keygen -t ed25519"
_NO_KEY: Final = "get the public key again from whose it is"
_NO_SIGNATURE: Final = "get the file and its signature again from who signed it"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key by its ``blob``, SSH's only spelling of it (RFC 4253, section 6.6). SignatureError for what is none of ``KINDS``."""

    blob: bytes

    def __post_init__(self) -> None:
        try:
            kind = Reader(self.blob).string().decode("ascii")
            if kind not in KINDS:
                raise SignatureError(f"a key of the kind {kind[:60]!r} is not taken", OTHER_KIND)
            self._loaded()
        except (WireError, ValueError) as error:  # of cryptography: no point of the curve
            raise SignatureError(f"this is no public key: {error}"[:200], _NO_KEY) from None

    @classmethod
    def parse(cls, kind: str, encoded: str) -> Self:
        """Return the key that a ``.pub`` file calls ``kind``, written in base64. Raises SignatureError."""
        if kind not in KINDS:
            raise SignatureError(f"a key of the kind {kind[:60]!r} is not taken", OTHER_KIND)
        try:
            blob = base64.b64decode(encoded.encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise SignatureError("what should be a public key is no base64", _NO_KEY) from None
        key = cls(blob)
        if key.text != f"{kind} {encoded}":
            raise SignatureError(f"what is called {kind} is {key.kind}, or its base64 is not as it is written", _NO_KEY)
        return key

    @classmethod
    def of(cls, key: object) -> Self:
        """Return cryptography's public key as ours. Raises SignatureError for one of another kind."""
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        if isinstance(key, ed25519.Ed25519PublicKey):
            return cls(string(ED25519.encode()) + string(key.public_bytes(Encoding.Raw, PublicFormat.Raw)))
        if isinstance(key, ec.EllipticCurvePublicKey):
            kind, curve = _names(key.curve)
            point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            return cls(string(kind.encode()) + string(curve.encode()) + string(point))
        raise SignatureError(f"a key of the kind {type(key).__name__} is not taken", OTHER_KIND)

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Return the key of a SubjectPublicKeyInfo in PEM (RFC 7468, section 13). Raises SignatureError."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        try:
            return cls.of(load_pem_public_key(pem))
        except UnsupportedAlgorithm:
            raise SignatureError("a key of this kind is not taken", OTHER_KIND) from None
        except ValueError:
            raise SignatureError("this is no public key in PEM", _NO_KEY) from None

    @property
    def kind(self) -> str:
        """What SSH calls keys like it: one of ``KINDS``."""
        return Reader(self.blob).string().decode("ascii")

    @property
    def fingerprint(self) -> str:
        """What ``ssh-keygen -l`` prints of it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @property
    def text(self) -> str:
        """The key as it stands in a ``.pub`` file, without a comment."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    def raw(self, signature: bytes) -> bytes:
        """Return what a ``signature`` as SSH writes it (RFC 8709 section 6, RFC 5656 section 3.1.2) holds: 64 bytes, or DER.

        Raises SignatureError for one that no key of this kind makes. It is not compared with any data.
        """
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        outer = Reader(signature)
        try:
            outer.expect(self.kind.encode())
            inner = Reader(outer.string())
            outer.end()
            if self.kind == ED25519:
                made = inner.take(_ED25519_SIGNATURE)
            else:
                made = encode_dss_signature(inner.mpint(), inner.mpint())
            inner.end()
        except WireError as error:
            raise SignatureError(f"this is no signature of {self.kind}: {error}"[:200], _NO_SIGNATURE) from None
        return made

    def verify(self, signature: bytes, data: bytes) -> None:
        """Return if this key made ``signature``, as SSH writes it, of exactly ``data``. Raises SignatureError."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        raw, key = self.raw(signature), self._loaded()
        try:
            if isinstance(key, Ed25519PublicKey):
                key.verify(raw, data)
            else:
                key.verify(raw, data, digest_for(key.curve))
        except InvalidSignature:
            raise SignatureError(f"what is signed with {self.fingerprint} is not this: one of the two was altered", _NO_SIGNATURE) from None

    def _loaded(self) -> Ed25519PublicKey | EllipticCurvePublicKey:
        """Raises WireError, ValueError."""
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519

        reader = Reader(self.blob)
        kind = reader.string().decode("ascii")
        if kind == ED25519:
            raw = reader.string()
            reader.end()
            return ed25519.Ed25519PublicKey.from_public_bytes(raw)
        curve, point = reader.string(), reader.string()
        reader.end()
        if curve != CURVES[kind].encode() or not point.startswith(b"\x04"):
            raise WireError("its curve is another one than its kind says, or its point is not written in full")
        curves = {"nistp256": ec.SECP256R1(), "nistp384": ec.SECP384R1(), "nistp521": ec.SECP521R1()}
        return ec.EllipticCurvePublicKey.from_encoded_point(curves[CURVES[kind]], point)


def digest_for(curve: EllipticCurve) -> ECDSA:
    """Return how SSH signs with a key on this curve: the hash goes with its size (RFC 5656, section 6.2.1)."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    if curve.key_size <= 256:
        return ec.ECDSA(hashes.SHA256())
    return ec.ECDSA(hashes.SHA384() if curve.key_size <= 384 else hashes.SHA512())


def _names(curve: EllipticCurve) -> tuple[str, str]:
    """Return what SSH calls a key on this curve, and the curve."""
    name = {"secp256r1": "nistp256", "secp384r1": "nistp384", "secp521r1": "nistp521"}.get(curve.name)
    if name is None:
        raise SignatureError(f"a key on the curve {curve.name} is not taken", OTHER_KIND)
    return f"ecdsa-sha2-{name}", name
