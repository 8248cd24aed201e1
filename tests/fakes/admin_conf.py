"""An administrator's kubeconfig as kubeadm writes it, with real keys, and the CA it belongs to."""

from __future__ import annotations

import base64
import datetime as dt
import functools
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def certificate(subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey) -> bytes:
    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(named(subject)).issuer_name(named(issuer)).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + dt.timedelta(days=365))
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


@functools.cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    """Return the key of that name, the same one for the whole process."""
    del name
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def authority(name: str = "cluster") -> bytes:
    """Return the certificate of the CA of that name; ``renewed`` by ``renewed_authority``."""
    return renewed_authority(name)


def renewed_authority(name: str = "cluster") -> bytes:
    """Return another certificate of the same CA: same key, new dates and number."""
    return certificate("kubernetes", key(name), "kubernetes", key(name))


@functools.cache
def client(name: str = "cluster") -> bytes:
    return certificate("kubernetes-admin", key("admin"), "kubernetes", key(name))


def admin_conf() -> dict[str, Any]:
    """Return a fresh one, to be changed by the test."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "shop",
                "cluster": {"server": "https://api.airseal.internal:6443", "certificate-authority-data": encoded(authority())},
            }
        ],
        "users": [
            {
                "name": "kubernetes-admin",
                "user": {"client-certificate-data": encoded(client()), "client-key-data": encoded(pem(key("admin")))},
            }
        ],
        "contexts": [{"name": "kubernetes-admin@shop", "context": {"cluster": "shop", "user": "kubernetes-admin"}}],
        "current-context": "kubernetes-admin@shop",
    }
