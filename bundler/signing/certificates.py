"""A signature by a key that an X.509 authority vouches for: of ``FILE.sha256``, in a form that openssl verifies (CMS, ``FILE.sha256.p7s``).

For sites whose trust is a certificate authority. It is made here and verified by programs that are not ours; what we verify ourselves are
OpenSSH's signatures. Source: RFC 5652, SignedData with detached content; RFC 8933.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bundler.errors import CertificateUnfit, KeyExposed
from bundler.signing.keys import OWNER_ONLY, Ask, opened, read_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509 import Certificate

LEAST_RSA: Final = 2048  # bits
MOST: Final = 8  # certificates: a leaf and whoever vouched for it
_PRIVATE: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_FORM: Final = "name one PEM file with a private key (RSA or ECDSA), its certificate, and those between it and the root, in that order"


@dataclass(frozen=True, slots=True)
class CertifiedKey:
    """A private key with its certificate, and the chain that leads from it towards a root."""

    private: EllipticCurvePrivateKey | RSAPrivateKey
    chain: tuple[Certificate, ...]

    def __repr__(self) -> str:
        return f"CertifiedKey({self.subject})"

    @property
    def subject(self) -> str:
        """Who it is, as RFC 4514 writes names."""
        return self.chain[0].subject.rfc4514_string()

    def sign(self, text: bytes) -> bytes:
        """Return a detached CMS signature of ``text`` in DER, with the whole chain in it."""
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.serialization import pkcs7

        builder = pkcs7.PKCS7SignatureBuilder().set_data(text).add_signer(self.chain[0], self.private, hashes.SHA256())
        for each in self.chain[1:]:
            builder = builder.add_certificate(each)
        options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoCapabilities]
        return builder.sign(serialization.Encoding.DER, options)


def load_certified(path: Path, ask: Ask, *, now: datetime | None = None) -> CertifiedKey:
    """Return the key and its certificates out of one PEM file. ``ask`` is called for a passphrase.

    Raises KeyMissing, KeyExposed, KeyUnusable, WrongPassphrase; CertificateUnfit for certificates that are none, out of order, not of that
    key, not valid now, or not for signatures.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    content, mode = read_key(path)
    if mode & OWNER_ONLY:
        raise KeyExposed(f"{path}: others may read this private key (mode {mode:04o}), so it is not used", f"chmod 600 {path}; was it read already, have its certificate revoked")
    block = _PRIVATE.search(content)
    private = opened(block[0] if block else b"", path, ask)
    if not isinstance(private, ec.EllipticCurvePrivateKey) and not (isinstance(private, rsa.RSAPrivateKey) and private.key_size >= LEAST_RSA):
        raise CertificateUnfit(f"{path}: its key is neither ECDSA nor RSA of {LEAST_RSA} bits and more", _FORM)
    chain = _certificates(content, path)
    if chain[0].public_key() != private.public_key():
        raise CertificateUnfit(f"{path}: its first certificate ({chain[0].subject.rfc4514_string()}) is of another key", _FORM)
    _check(chain, path, now or datetime.now(UTC))
    return CertifiedKey(private, chain)


def path_of(sums: Path) -> Path:
    """Return where the signature of a file of sums is written."""
    return sums.with_name(f"{sums.name}.p7s")


def _certificates(content: bytes, path: Path) -> tuple[Certificate, ...]:
    from cryptography import x509

    try:
        found = tuple(x509.load_pem_x509_certificate(block) for block in _CERTIFICATE.findall(content))
    except ValueError:
        raise CertificateUnfit(f"{path} has a certificate that cannot be read", _FORM) from None
    if not 1 <= len(found) <= MOST:
        raise CertificateUnfit(f"{path} has {len(found)} certificates", _FORM)
    return found


def _check(chain: tuple[Certificate, ...], path: Path, now: datetime) -> None:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    for each in chain:
        name = each.subject.rfc4514_string()
        if not each.not_valid_before_utc <= now <= each.not_valid_after_utc:
            when = f"from {each.not_valid_before_utc:%Y-%m-%d} to {each.not_valid_after_utc:%Y-%m-%d}"
            raise CertificateUnfit(f"{path}: the certificate of {name} is valid {when}, not today", "have it renewed, or set this machine's clock")
    for each, above in itertools.pairwise(chain):
        try:
            each.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature):
            names = f"{each.subject.rfc4514_string()} was not issued by {above.subject.rfc4514_string()}"
            raise CertificateUnfit(f"{path}: {names}, whose certificate comes next", _FORM) from None
    try:
        usage = chain[0].extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.digital_signature and not usage.content_commitment:
        raise CertificateUnfit(f"{path}: the certificate of {chain[0].subject.rfc4514_string()} is not for signatures (key usage)", "have one issued that is")
