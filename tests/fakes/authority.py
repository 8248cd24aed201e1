"""Authority: a CA with a key, and leaves that end when a test wants them to."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Authority:
    def __init__(self, name: str, *, days: float) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self.pem = self._made(self._name, self._key, days=days, authority=True)
        self.key_pem = _pem(self._key)

    def leaf(self, name: str, *, days: float, begun: float = 365, addresses: Sequence[str] = ()) -> tuple[bytes, bytes]:
        """Return certificate and key, in PEM. It began ``begun`` days ago and ends in ``days``."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._made(_name(name), key, days=days, authority=False, begun=begun, addresses=addresses), _pem(key)

    def _made(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: float, authority: bool, begun: float = 365, addresses: Sequence[str] = ()) -> bytes:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=begun))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if addresses:
            own = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(each)) for each in addresses])
            builder = builder.add_extension(own, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
