"""The key that a builder signs with: in a file, with or without a passphrase, or in an ssh-agent where only its public half is a file.

As ``ssh-keygen -Y sign -f FILE`` has it: a private key signs itself, a public one says which of the agent's is meant.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from bundler.errors import KeyExposed, KeyMissing, KeyUnusable, SigningError, WrongPassphrase
from bundler.signing.agent import AgentKey
from installer_stub.errors import SignatureError
from installer_stub.trust.public_key import ED25519, OTHER_KIND, PublicKey, digest_for
from installer_stub.trust.sshsig import HASHES, NAMESPACE, Signature, signed_data, verify_digest
from installer_stub.trust.wire import mpint, string

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Ask = Callable[[str], str]  # given what is asked for, what somebody types
MAX_BYTES: Final = 64 * 1024  # of a file with a key: one of P-521 has 800
ATTEMPTS: Final = 3
_OPENSSH: Final = b"-----BEGIN OPENSSH PRIVATE KEY-----"
OWNER_ONLY: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHER_FILE: Final = "name a private key in OpenSSH's form or in PEM, or the .pub file of one that an ssh-agent holds"


class SigningKey(Protocol):
    """What signs. ``public`` is what others know of it."""

    @property
    def public(self) -> PublicKey:
        """Its public half."""

    def sign(self, data: bytes) -> bytes:
        """Return a signature of ``data`` as SSH writes it. Raises SigningError."""


@dataclass(frozen=True, slots=True)
class FileKey:
    """A private key in memory."""

    public: PublicKey
    private: Ed25519PrivateKey | EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return f"FileKey({self.public.fingerprint})"

    def sign(self, data: bytes) -> bytes:
        """Return a signature of ``data`` as SSH writes it (RFC 8709, section 6; RFC 5656, section 3.1.2)."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        if isinstance(self.private, Ed25519PrivateKey):
            return string(ED25519.encode()) + string(self.private.sign(data))
        r, s = decode_dss_signature(self.private.sign(data, digest_for(self.private.curve)))
        return string(self.public.kind.encode()) + string(mpint(r) + mpint(s))


def load_signer(path: Path, ask: Ask) -> SigningKey:
    """Return the key that ``path`` names, ready to sign. ``ask`` is called for a passphrase, at most ``ATTEMPTS`` times.

    Raises KeyMissing, KeyExposed, KeyUnusable, WrongPassphrase; for a public key AgentMissing and KeyNotInAgent.
    """
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    content, mode = read_key(path)
    if b"-----BEGIN" not in content or b"-----BEGIN PUBLIC KEY-----" in content:
        return AgentKey.find(_public(content, path))
    if mode & OWNER_ONLY:
        raise KeyExposed(f"{path}: others may read this private key (mode {mode:04o}), so it is not used", f"chmod 600 {path}; was it read already, make another one")
    private = opened(content, path, ask)
    if not isinstance(private, (Ed25519PrivateKey, EllipticCurvePrivateKey)):
        raise KeyUnusable(f"{path}: a key of the kind {type(private).__name__.removesuffix('PrivateKey')} is not taken", OTHER_KIND)
    try:
        return FileKey(PublicKey.of(private.public_key()), private)
    except SignatureError as error:
        raise KeyUnusable(f"{path}: {error.problem}", error.remedy) from None


def sign_digest(key: SigningKey, digest: bytes, hash_algorithm: str = HASHES[0], namespace: str = NAMESPACE) -> Signature:
    """Return the signature of a message that has this ``digest``, after it was verified. Raises SigningError."""
    try:
        signature = Signature(key.public, namespace, hash_algorithm, key.sign(signed_data(namespace, hash_algorithm, digest)))
        verify_digest(signature, digest, namespace)
    except SignatureError as error:
        raise SigningError(f"what {key.public.fingerprint} signed is not right: {error.problem}", error.remedy) from None
    return signature


def read_key(path: Path) -> tuple[bytes, int]:
    """Return what is in a key file, and its mode; 0 where the file is another user's, as ssh has it: they decide who reads it."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: NUL in a path
        raise KeyMissing(f"the key {path} cannot be read: {getattr(error, 'strerror', None) or error}", _OTHER_FILE) from None
    if len(content) > MAX_BYTES:
        raise KeyUnusable(f"{path} has more than {MAX_BYTES} bytes, and keys have a few hundred", _OTHER_FILE)
    return content, stat.S_IMODE(found.st_mode) if found.st_uid == os.getuid() else 0


def _public(content: bytes, path: Path) -> PublicKey:
    """Raises KeyUnusable."""
    try:
        if b"-----BEGIN" in content:
            return PublicKey.from_pem(content)
        words = content.decode().split(maxsplit=2)
        if len(words) >= 2:
            return PublicKey.parse(words[0], words[1])
    except UnicodeDecodeError:
        pass
    except SignatureError as error:
        raise KeyUnusable(f"{path}: {error.problem}", error.remedy) from None
    raise KeyUnusable(f"{path} is no key", _OTHER_FILE)


def opened(content: bytes, path: Path, ask: Ask) -> object:
    """Return the private key, of whatever kind. Raises KeyUnusable, WrongPassphrase."""
    found = _try(content, None, path)
    for attempt in range(ATTEMPTS):
        if found is not None:
            break
        again = "that was not it; " if attempt else ""
        found = _try(content, ask(f"{again}passphrase of {path}: ").encode(errors="surrogatepass"), path)
    if found is None:
        raise WrongPassphrase(f"{path}: none of {ATTEMPTS} passphrases opens it", f"see that it is this key: ssh-keygen -y -f {path}")
    return found


def _try(content: bytes, passphrase: bytes | None, path: Path) -> object | None:
    """Return the private key, None where another passphrase is needed. Raises KeyUnusable.

    A damaged file that is encrypted cannot be told from a wrong passphrase.
    """
    from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    try:
        return load_ssh_private_key(content, passphrase) if _OPENSSH in content else load_pem_private_key(content, passphrase)
    except UnsupportedAlgorithm:
        raise KeyUnusable(f"{path} holds a key of a kind that is not taken, or is encrypted in a way that is not read", OTHER_KIND) from None
    except TypeError:  # it wants a passphrase, and has none, or an empty one
        return None
    except (ValueError, InvalidTag):
        if passphrase is not None:
            return None
    raise KeyUnusable(f"{path} is no private key, or damaged", _OTHER_FILE)
