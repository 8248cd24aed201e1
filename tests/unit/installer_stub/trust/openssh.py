"""The real ssh-keygen: it makes keys and signatures, and says what it thinks of ours."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

KINDS: Mapping[str, tuple[str, ...]] = {
    "ssh-ed25519": ("-t", "ed25519"),
    "ecdsa-sha2-nistp256": ("-t", "ecdsa", "-b", "256"),
    "ecdsa-sha2-nistp384": ("-t", "ecdsa", "-b", "384"),
    "ecdsa-sha2-nistp521": ("-t", "ecdsa", "-b", "521"),
}
MESSAGE = b"sealed\n"


def keygen(*arguments: str | Path, stdin: bytes = b"", timezone: str = "UTC", check: bool = True) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"TZ": timezone, "LC_ALL": "C"}
    return subprocess.run(["ssh-keygen", *arguments], input=stdin, capture_output=True, check=check, timeout=30, env=environment)


@dataclass(frozen=True)
class Pair:
    """A private key in a file, and its .pub beside it."""

    path: Path

    @property
    def pub(self) -> Path:
        return self.path.with_name(f"{self.path.name}.pub")

    @property
    def line(self) -> str:
        """Kind and base64, without the comment."""
        return " ".join(self.pub.read_text().split()[:2])

    def sign(self, message: bytes = MESSAGE, namespace: str = "airseal", hash_algorithm: str = "sha512") -> bytes:
        return keygen("-q", "-Y", "sign", "-f", self.path, "-n", namespace, "-O", f"hashalg={hash_algorithm}", stdin=message).stdout


def make(directory: Path, kind: str = "ssh-ed25519", *, name: str = "key", passphrase: str = "", options: tuple[str, ...] = ()) -> Pair:
    path = directory / name
    keygen("-q", *KINDS.get(kind, ("-t", kind)), "-N", passphrase, "-C", "alice@example.com", "-f", path, *options)
    return Pair(path)


def takes(directory: Path, armored: bytes, message: bytes = MESSAGE, namespace: str = "airseal") -> bool:
    """Tell whether ssh-keygen finds the signature sound, whoever made it."""
    file = directory / "checked.sig"
    file.write_bytes(armored)
    return keygen("-Y", "check-novalidate", "-n", namespace, "-s", file, stdin=message, check=False).returncode == 0


def trusts(
    directory: Path, armored: bytes, allowed: str, principal: str = "alice", *, now: str = "20260601120000Z", timezone: str = "UTC"
) -> bool:
    """Tell whether ssh-keygen takes the signature from ``principal`` at ``now``, with this file of allowed signers."""
    signature, signers = directory / "verified.sig", directory / "allowed_signers"
    signature.write_bytes(armored)
    signers.write_text(allowed, newline="")
    words = ("-Y", "verify", "-n", "airseal", "-I", principal, "-s", signature, "-f", signers, f"-Overify-time={now}")
    return keygen(*words, stdin=MESSAGE, timezone=timezone, check=False).returncode == 0
