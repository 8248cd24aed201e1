"""Keys and certificates of the site registry: each master makes its own key, the cluster's CA signs it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from installer_stub.errors import InstallerError, UsageError

# Clocks of a site without NTP differ; a certificate that begins now would be refused by a host that is behind.
_BACKDATED = dt.timedelta(days=1)


def new_key(path: Path, name: str, addresses: Sequence[str], names: Sequence[str]) -> str:
    """Return a certificate request in PEM, for the P-256 key at ``path``, which is made (mode 0600) if it is not there.

    ``addresses`` and ``names`` are what the certificate shall be valid for. Raises UsageError, InstallerError.
    """
    alternatives: list[x509.GeneralName] = [x509.DNSName(text) for text in names]
    try:
        alternatives += [x509.IPAddress(ipaddress.ip_address(text)) for text in addresses]
    except ValueError as error:
        raise UsageError(f"--ip: {error}", "write one address for each --ip") from None
    if not alternatives:
        raise UsageError("a certificate needs at least one --ip or --dns", "add --ip with this host's address")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    request = request.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return request.sign(_load_or_make(path), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def sign(request_pem: bytes, ca_certificate: Path, ca_key: Path, days: int) -> str:
    """Return a server certificate in PEM for the names in the request, signed by the CA.

    Raises InstallerError for a request that is not signed by its own key or has no names, and for an unusable CA.
    """
    request = _request(request_pem)
    issuer, key = _authority(ca_certificate, ca_key)
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_encipherment=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(issuer.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        # Never longer than the CA itself: chains that end early fail in ways nobody understands.
        .not_valid_before(max(now - _BACKDATED, issuer.not_valid_before_utc))
        .not_valid_after(min(now + dt.timedelta(days=days), issuer.not_valid_after_utc))
        .add_extension(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_authority_key(issuer), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Return the issuer's own key identifier, RFC 5280 4.2.1.1. Go hashes keys with SHA-256, others with SHA-1: it cannot be recomputed."""
    try:
        named = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(named)


def _request(pem: bytes) -> x509.CertificateSigningRequest:
    try:
        request = x509.load_pem_x509_csr(pem)
        request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound):
        raise InstallerError("this is no certificate request with names in it", "make it with: host new-key") from None
    if not request.is_signature_valid:
        raise InstallerError("the certificate request is not signed by its own key", "make it again with: host new-key")
    return request


def _authority(certificate: Path, key: Path) -> tuple[x509.Certificate, CertificateIssuerPrivateKeyTypes]:
    try:
        issuer = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except OSError as error:
        raise InstallerError(f"{error.filename} cannot be read: {error.strerror}", "run this on a master, as root") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InstallerError(f"{certificate} and {key} are no CA in PEM", "name kubeadm's ca.crt and ca.key") from None
    if issuer.public_key() != private.public_key():
        raise InstallerError(f"{key} is not the key of {certificate}", "name kubeadm's ca.crt and ca.key")
    return issuer, private  # type: ignore[return-value]


def _load_or_make(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        if path.exists():
            key = serialization.load_pem_private_key(path.read_bytes(), None)
            if isinstance(key, ec.EllipticCurvePrivateKey):
                return key
            raise InstallerError(f"{path} holds a key of another kind", "remove it, or name another --key")
        made = ec.generate_private_key(ec.SECP256R1())
        keep_private(path, _pem(made))
    except OSError as error:
        raise InstallerError(f"{path} cannot be used: {error.strerror}", "run this as root") from None
    except (ValueError, TypeError):
        raise InstallerError(f"{path} is no private key in PEM", "remove it, or name another --key") from None
    return made


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def keep_private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone can read: whole and on the disk, or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.airseal-part")
    part.unlink(missing_ok=True)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(fd)
    part.rename(path)
