"""Certificates as they are after a long time: the same, but with other dates.

Hosts of a bed share the machine's clock, so the clock cannot be moved; what a clock that moved would make of certificates can.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Life:
    """From when to when certificates are valid."""

    begins: dt.datetime
    ends: dt.datetime

    @classmethod
    def ended(cls) -> Life:
        """A year that ended yesterday."""
        yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        return cls(yesterday - dt.timedelta(days=365), yesterday)

    @classmethod
    def past_half(cls, seconds: float) -> Life:
        """One of so many seconds, of which a little more than half is over."""
        now = dt.datetime.now(dt.UTC)
        return cls(now - dt.timedelta(seconds=seconds * 0.51), now + dt.timedelta(seconds=seconds * 0.49))


class Authority:
    """A CA that lies on a master, used as only a test may."""

    def __init__(self, master: BlankHost, path: str) -> None:
        self._certificate = x509.load_pem_x509_certificate(read(master, f"{path}.crt"))
        key = serialization.load_pem_private_key(read(master, f"{path}.key"), None)
        assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
        self._key = key

    def lived(self, pem: bytes, life: Life) -> bytes:
        """Return the certificate as it is, of that life."""
        old = x509.load_pem_x509_certificate(pem)
        builder = (
            x509.CertificateBuilder()
            .subject_name(old.subject)
            .issuer_name(self._certificate.subject)
            .public_key(old.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(life.begins)
            .not_valid_after(life.ends)
        )
        for extension in old.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def read(host: BlankHost, path: str) -> bytes:
    return base64.b64decode(host.run(f"base64 -w0 {path}").stdout)


def write(host: BlankHost, path: str, data: bytes) -> None:
    host.run(f"base64 -d > {path} <<'E'\n{base64.b64encode(data).decode()}\nE")


def let_all_end(masters: tuple[BlankHost, ...], hosts: tuple[BlankHost, ...]) -> None:
    """Replace every certificate of Kubernetes by one that ended yesterday."""
    let_all_live(masters, hosts, Life.ended())


def let_all_live(masters: tuple[BlankHost, ...], hosts: tuple[BlankHost, ...], life: Life) -> None:
    """Replace every certificate of Kubernetes, on ``masters`` and kubelet's on ``hosts``, by one of that life."""
    for master in masters:
        for path, leaves in SIGNED_BY.items():
            authority = Authority(master, path)
            for leaf in leaves:
                write(master, leaf, authority.lived(read(master, leaf), life))
        authority = Authority(master, f"{PKI}/ca")
        for config in KUBECONFIGS:
            if master.run(f"test -e {config}", check=False).returncode != 0:
                continue  # super-admin.conf is the first master's alone
            text = read(master, config).decode()
            (data,) = re.findall(r"client-certificate-data: (\S+)", text)
            lived = base64.b64encode(authority.lived(base64.b64decode(data), life)).decode()
            write(master, config, text.replace(data, lived).encode())
    authority = Authority(masters[0], f"{PKI}/ca")
    for host in hosts:
        pem = read(host, KUBELET)
        key = pem[pem.index(b"-----BEGIN", pem.index(b"-----END CERTIFICATE-----")) :]
        write(host, KUBELET, authority.lived(pem, life) + key)
