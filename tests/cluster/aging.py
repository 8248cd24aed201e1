"""Certificates as they are after a long time without power: the same, but ended yesterday.

Hosts of a bed share the machine's clock, so the clock cannot be moved; what a clock that moved would make of certificates can.
"""

from __future__ import annotations

import base64
import datetime as dt
import re

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.testbed.hosts import BlankHost

PKI = "/etc/kubernetes/pki"
KUBELET = "/var/lib/kubelet/pki/kubelet-client-current.pem"
SIGNED_BY = {
    f"{PKI}/ca": (f"{PKI}/apiserver.crt", f"{PKI}/apiserver-kubelet-client.crt"),
    f"{PKI}/front-proxy-ca": (f"{PKI}/front-proxy-client.crt",),
    f"{PKI}/etcd/ca": (f"{PKI}/apiserver-etcd-client.crt", f"{PKI}/etcd/server.crt", f"{PKI}/etcd/peer.crt", f"{PKI}/etcd/healthcheck-client.crt"),
}
KUBECONFIGS = tuple(f"/etc/kubernetes/{name}.conf" for name in ("admin", "super-admin", "controller-manager", "scheduler"))


class Authority:
    """A CA that lies on a master, used as only a test may."""

    def __init__(self, master: BlankHost, path: str) -> None:
        self._certificate = x509.load_pem_x509_certificate(read(master, f"{path}.crt"))
        key = serialization.load_pem_private_key(read(master, f"{path}.key"), None)
        assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
        self._key = key

    def ended(self, pem: bytes) -> bytes:
        """Return the certificate as it is, of a year's life that ended yesterday."""
        old = x509.load_pem_x509_certificate(pem)
        yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(old.subject)
            .issuer_name(self._certificate.subject)
            .public_key(old.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(yesterday - dt.timedelta(days=365))
            .not_valid_after(yesterday)
        )
        for extension in old.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def read(host: BlankHost, path: str) -> bytes:
    return base64.b64decode(host.run(f"base64 -w0 {path}").stdout)


def write(host: BlankHost, path: str, data: bytes) -> None:
    host.run(f"base64 -d > {path} <<'E'\n{base64.b64encode(data).decode()}\nE")


def let_all_end(master: BlankHost, hosts: tuple[BlankHost, ...]) -> None:
    """Replace every certificate of Kubernetes by one that ended yesterday."""
    for path, leaves in SIGNED_BY.items():
        authority = Authority(master, path)
        for leaf in leaves:
            write(master, leaf, authority.ended(read(master, leaf)))
    authority = Authority(master, f"{PKI}/ca")
    for config in KUBECONFIGS:
        text = read(master, config).decode()
        (data,) = re.findall(r"client-certificate-data: (\S+)", text)
        ended = base64.b64encode(authority.ended(base64.b64decode(data))).decode()
        write(master, config, text.replace(data, ended).encode())
    for host in hosts:
        pem = read(host, KUBELET)
        key = pem[pem.index(b"-----BEGIN", pem.index(b"-----END CERTIFICATE-----")) :]
        write(host, KUBELET, authority.ended(pem) + key)
