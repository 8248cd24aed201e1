"""kubelet's own client certificate: a request, a signature by the cluster's CA, and putting it in its place.

kubelet renews it itself while it runs (between 70 and 90 % of its life). This is for what kubelet cannot do: a certificate
that ended while the host was switched off, and one that would not outlive the next year in the dark.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Final

from installer_stub.distro.certificates import CA_CERTIFICATE, CA_KEY, KUBELET_CLIENT, KUBELET_DIRECTORY
from installer_stub.errors import InstallerError
from registry_snapshot.store.durable import sync_directory

if TYPE_CHECKING:
    from cryptography import x509

_GROUP: Final = "system:nodes"
_PENDING: Final = f"{KUBELET_DIRECTORY}/airseal-kubelet-client.key"
_BACKDATED: Final = dt.timedelta(minutes=5)  # as kubeadm does, for clocks that differ a little


def request(name: str, key_path: str = _PENDING) -> bytes:
    """Make a key, keep it on this host (mode 0600), and return the request for its certificate. Raises OSError."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509 import CertificateSigningRequestBuilder

    from installer_stub.hostside.keys import keep_private

    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    keep_private(Path(key_path), pem)
    builder = CertificateSigningRequestBuilder().subject_name(_subject(name))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def sign(csr: bytes, name: str, validity: int, *, certificate: str = CA_CERTIFICATE, key: str = CA_KEY) -> bytes:
    """Return the certificate of node ``name`` for the key in ``csr``: whatever else the request asks for is not given.

    Raises InstallerError.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        issuer = x509.load_pem_x509_certificate(Path(certificate).read_bytes())
        private = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    except FileNotFoundError as error:
        raise InstallerError(f"there is no {error.filename} on this master", f"bring the CA's key to {key} for as long as the renewal takes") from None
    except (OSError, ValueError, TypeError):
        raise InstallerError(f"the CA in {certificate} and {key} cannot be used", "compare both files with those of another master") from None
    wanted = _request(csr)
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise InstallerError(f"{key} holds a key of an unknown kind", "use an RSA or an EC key")
    now = dt.datetime.now(dt.UTC)
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(issuer.subject)
        .public_key(wanted.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(min(now + dt.timedelta(seconds=validity), issuer.not_valid_after_utc))
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    return builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def install(certificate: bytes, key_path: str = _PENDING, current: str = KUBELET_CLIENT) -> None:
    """Put the certificate and its waiting key where kubelet looks, as kubelet itself does: a dated file and a link to it.

    Raises InstallerError when the two do not belong together, OSError.
    """
    from installer_stub.hostside.keys import is_pair, keep_private

    key = Path(key_path).read_bytes()
    if not is_pair(certificate, key):
        raise InstallerError("the certificate is not for the key that waits on this host", "run certs renew again")
    stamp = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d-%H-%M-%S")
    target = Path(current).with_name(f"kubelet-client-{stamp}.pem")
    keep_private(target, certificate.rstrip() + b"\n" + key)
    link = Path(f"{current}.airseal-part")
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    link.rename(current)
    sync_directory(Path(current).parent)
    Path(key_path).unlink(missing_ok=True)


def _request(csr: bytes) -> x509.CertificateSigningRequest:
    from cryptography import x509

    try:
        request = x509.load_pem_x509_csr(csr)
        valid = request.is_signature_valid
    except ValueError:
        valid = False
    if not valid:
        raise InstallerError("this is no certificate request, or its signature is wrong", "run certs renew again")
    return request


def _subject(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, _GROUP), x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{name}")]
    )
