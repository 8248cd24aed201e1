"""Keys of a lab: hosts and operator know each other from the first moment, and nobody knows them after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bundler.cluster.archive import archive

IDENTITY: Final = "/site/identity"
KNOWN_HOSTS: Final = "/site/known_hosts"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """``private`` in OpenSSH's format, ``public`` as a line of authorized_keys without a comment."""

    private: bytes
    public: str

    @classmethod
    def make(cls) -> KeyPair:
        """Return a new Ed25519 pair."""
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        return cls(private, public.decode())

    def __repr__(self) -> str:
        return f"KeyPair({self.public})"


def host_files(own: KeyPair, operator: KeyPair) -> bytes:
    """Return what makes a host one that ``operator`` may enter, as a tar for its root."""
    return archive(
        {
            "etc/ssh/ssh_host_ed25519_key": (own.private, 0o600),
            "etc/ssh/ssh_host_ed25519_key.pub": (f"{own.public}\n".encode(), 0o644),
            "root/.ssh/authorized_keys": (f"{operator.public}\n".encode(), 0o600),
        }
    )


def operator_files(own: KeyPair, hosts: Mapping[str, KeyPair]) -> bytes:
    """Return what the operator brings: its key, and the hosts' keys by address."""
    lines = "".join(f"{address} {pair.public}\n" for address, pair in hosts.items())
    return archive({IDENTITY.lstrip("/"): (own.private, 0o600), KNOWN_HOSTS.lstrip("/"): (lines.encode(), 0o644)})
