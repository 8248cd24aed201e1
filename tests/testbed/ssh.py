"""How hosts are entered: one key for root, a password for ``ops`` (login and sudo), and host keys known beforehand."""

from __future__ import annotations

import io
import secrets
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.testbed.cache import Cache, locked, write_secret, write_whole
from tests.testbed.oci_image import tar_member

OPS_USER = "ops"


@dataclass(frozen=True)
class Credentials:
    """The key and the password, in files that only their owner reads."""

    directory: Path

    @classmethod
    def ensure(cls, cache: Cache) -> Credentials:
        """Return this cache's credentials, made the first time they are asked for."""
        credentials = cls(cache.ssh)
        with locked(cache.ssh / ".lock"):
            if not credentials.public_key.exists():
                private, public = new_key_pair("airseal test bed")
                write_secret(credentials.private_key, private)
                write_whole(credentials.public_key, public)
            if not credentials.ops_password.exists():
                write_secret(credentials.ops_password, secrets.token_urlsafe(12).encode())
        return credentials

    @property
    def private_key(self) -> Path:
        return self.directory / "id_ed25519"

    @property
    def public_key(self) -> Path:
        return self.directory / "id_ed25519.pub"

    @property
    def ops_password(self) -> Path:
        return self.directory / "ops-password"


def new_key_pair(comment: str) -> tuple[bytes, bytes]:
    """Return a new Ed25519 key as OpenSSH writes it: the private and the public file."""
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private, public + f" {comment}\n".encode()


def identity_archive(credentials: Credentials, host: str) -> tuple[bytes, str]:
    """Return a tar that makes a container this host (keys, machine-id, ops's password), and its line for known_hosts.

    The password goes in as a file that the start command feeds to chpasswd and removes: argv could be read by others.
    """
    private, public = new_key_pair(host)
    machine_id = secrets.token_hex(16)
    files = {
        "root/.ssh/authorized_keys": (credentials.public_key.read_bytes(), 0o600),
        "etc/ssh/ssh_host_ed25519_key": (private, 0o600),
        "etc/ssh/ssh_host_ed25519_key.pub": (public, 0o644),
        "etc/machine-id": (f"{machine_id}\n".encode(), 0o444),
        "etc/testbed-password": (f"{OPS_USER}:{credentials.ops_password.read_text()}\n".encode(), 0o600),
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tar_member("root/.ssh", tarfile.DIRTYPE, 0o700))
        for name, (data, mode) in files.items():
            member = tar_member(name, tarfile.REGTYPE, mode)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    kind, key, _ = public.split(b" ", 2)
    return archive.getvalue(), f"{kind.decode()} {key.decode()}"


def ssh_command(address: str, private_key: Path, known_hosts: Path, *, user: str = "root") -> list[str]:
    """Return the ssh command line that enters a host: strict, with nothing taken from the user's own configuration."""
    return [
        "ssh", "-F", "none", "-i", str(private_key), "-o", f"UserKnownHostsFile={known_hosts}",
        "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
        f"{user}@{address}",
    ]  # fmt: skip


def run_ssh(command: Sequence[str], script: str, *, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a shell script through an ssh command; its output and status are in the result."""
    return subprocess.run([*command, script], capture_output=True, text=True, timeout=timeout, check=False)
