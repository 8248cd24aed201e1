"""A certificate authority of our own, and server certificates for the names and addresses of our internet."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.testbed.cache import write_secret, write_whole

_DAY = dt.timedelta(days=1)


class Authority:
    """A CA in a directory: made once, kept for as long as the cache lives."""

    def __init__(self, directory: Path) -> None:
        self.certificate = directory / "ca.crt"
        self._key = directory / "ca.key"
        if not self.certificate.exists() or not self._key.exists():
            self._create()

    def issue(self, directory: Path, names: Sequence[str]) -> None:
        """Write ``tls.crt`` and ``tls.key`` for host names and addresses, unless they are there and ours."""
        certificate, wanted = directory / "tls.crt", directory / "names"
        text = "\n".join([self.certificate.read_text(), *names])
        if certificate.exists() and wanted.exists() and wanted.read_text() == text:
            return
        key = ec.generate_private_key(ec.SECP256R1())
        authority_key = serialization.load_pem_private_key(self._key.read_bytes(), None)
        authority = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        builder = _builder(names[0], authority.subject, key, years=5)
        builder = (
            builder.add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),  # type: ignore[arg-type]
                critical=False,
            )
        )
        signed = builder.sign(authority_key, hashes.SHA256())  # type: ignore[arg-type]
        write_secret(directory / "tls.key", _pem(key))
        write_whole(certificate, signed.public_bytes(serialization.Encoding.PEM))
        write_whole(wanted, text)

    def _create(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "airseal test bed CA")])
        signed = (
            _builder("airseal test bed CA", name, key, years=10)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        write_secret(self._key, _pem(key))
        write_whole(self.certificate, signed.public_bytes(serialization.Encoding.PEM))


def _builder(
    subject: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, years: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + 365 * years * _DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
