"""The site registry's own certificate authority: what every host trusts the registries by, and nothing else in the world.

It is not the cluster's: whoever holds this key can pretend to be a registry to hosts of this site, and nobody else to
anybody. So the name constraints (RFC 5280, 4.2.1.10) let it vouch for addresses and for names of this machine or below
``airseal.internal``, never for ``registry.k8s.io``. They name no address: a site has one master today and three tomorrow.
Its key is on every master, so that any of them renews its certificate alone.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from installer_stub.errors import InstallerError
from installer_stub.hostside import keys

NAME: Final = "airseal site registry CA"
_STATEMENT: Final = "airseal site registry succession"
CERTIFICATE: Final = "ca.crt"
KEY: Final = "ca.key"
LIFE: Final = dt.timedelta(days=3650)
# Clocks of a site without NTP differ; a certificate that begins now would be refused by a host that is behind.
BACKDATED: Final = dt.timedelta(days=1)
_LOST: Final = f"put {CERTIFICATE} and {KEY} back from another master or a backup; they belong together"


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate and its key, which fit."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Return what stands in ``directory``. Raises InstallerError for what is missing or does not fit."""
        path = directory / CERTIFICATE
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            key = keys.load(directory / KEY)
        except OSError as error:
            raise InstallerError(f"{error.filename} cannot be read: {error.strerror}", _LOST) from None
        except ValueError:
            raise InstallerError(f"{path} is no certificate in PEM", _LOST) from None
        if certificate.public_key() != key.public_key():
            raise InstallerError(f"{directory / KEY} is not the key of {path}", _LOST)
        return cls(certificate, key)

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self, key: ec.EllipticCurvePublicKey, addresses: Sequence[str], names: Sequence[str], life: dt.timedelta, now: dt.datetime
    ) -> bytes:
        """Return a server certificate for ``key`` in PEM, valid for exactly these addresses and names.

        Raises ValueError for what is no address, InstallerError when this CA itself is not valid at ``now``.
        """
        begin = max(now - BACKDATED, self.certificate.not_valid_before_utc)
        end = min(now + life, self.certificate.not_valid_after_utc)  # chains that end early fail in ways nobody understands
        if not begin <= now < end:
            raise InstallerError(
                f"the site registry's CA is valid from {self.certificate.not_valid_before_utc:%Y-%m-%d} to "
                f"{self.certificate.not_valid_after_utc:%Y-%m-%d}, and this host's clock says {now:%Y-%m-%d}",
                "set the clock of this host",
            )
        alternatives = [*map(x509.DNSName, names), *(x509.IPAddress(ipaddress.ip_address(text)) for text in addresses)]
        builder = (
            _builder("airseal-registry", self.certificate.subject, key, begin, end)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


    def vouch(self, successor: x509.Certificate, now: dt.datetime) -> bytes:
        """Return a statement in PEM that this CA hands over to ``successor``: its key, signed. No server can be shown with it."""
        key = successor.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise InstallerError("the next CA has a key of another kind", "remove it")
        builder = _builder(_STATEMENT, self.certificate.subject, key, now - BACKDATED, now + LIFE)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def is_ours(certificate: x509.Certificate) -> bool:
    """Tell whether this is a CA of a site registry. Its identity is its public key: ``leaf.public_key``."""
    return certificate.subject == _name(NAME)


def make(directory: Path, now: dt.datetime) -> None:
    """Make a CA in ``directory``, unless one is there. The key first: a kill in between leaves one that the next call goes on with.

    Raises InstallerError for a certificate without its key: it may be trusted already, so no other is made in its place.
    """
    certificate = directory / CERTIFICATE
    if certificate.exists():
        Authority.load(directory)
        return
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        keys.keep(certificate, _self_signed(keys.load_or_make(directory / KEY), now), 0o644)
    except OSError as error:
        raise InstallerError(f"{directory} cannot be written: {error.strerror}", "run this as root") from None


def _self_signed(key: ec.EllipticCurvePrivateKey, now: dt.datetime) -> bytes:
    subject = _name(NAME)
    permitted: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_network(text)) for text in ("0.0.0.0/0", "::/0")]
    permitted += [x509.DNSName(text) for text in ("localhost", "airseal.internal")]
    builder = (
        _builder(NAME, subject, key.public_key(), now - BACKDATED, now + LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begin: dt.datetime, end: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin.replace(microsecond=0))
        .not_valid_after(end.replace(microsecond=0))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        key_encipherment=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
