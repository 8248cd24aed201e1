"""Private keys of a host: made where they are used, on the disk whole or not at all, readable by their owner alone."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from installer_stub.errors import InstallerError
from registry_snapshot.store.durable import sync_directory


def load_or_make(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key at ``path``, which is made (mode 0600) if it is not there. Raises InstallerError."""
    try:
        if path.exists():
            return load(path)
        made = ec.generate_private_key(ec.SECP256R1())
        keep_private(path, pem(made))
    except OSError as error:
        raise InstallerError(f"{path} cannot be used: {error.strerror}", "run this as root") from None
    return made


def load(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key at ``path``. Raises OSError, InstallerError for a file that holds none of our kind."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InstallerError(f"{path} is no private key in PEM", "put it back from a backup, or remove it") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InstallerError(f"{path} holds a key of another kind", "put it back from a backup, or remove it")
    return key


def is_torn(path: Path) -> bool:
    """Tell whether a file is there that has lost its end, and with it the last mark of PEM (RFC 7468). Raises OSError."""
    return path.exists() and b"-----END " not in path.read_bytes()


def is_pair(certificate: bytes, key: bytes) -> bool:
    """Return whether both, in PEM, can be read and the certificate is for the key."""
    try:
        return x509.load_pem_x509_certificate(certificate).public_key() == serialization.load_pem_private_key(key, None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return ``key`` as it stands in a file."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def keep_private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone can read: whole and on the disk, or not at all. Raises OSError."""
    keep(path, content, 0o600)


def keep(path: Path, content: bytes, mode: int) -> None:
    """Write a file with ``mode``: whole and on the disk, name included, or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.airseal-part")
    part.unlink(missing_ok=True)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as stream:
        os.fchmod(fd, mode)  # whatever the umask is
        stream.write(content)
        stream.flush()
        os.fsync(fd)
    part.rename(path)
    sync_directory(path.parent)
