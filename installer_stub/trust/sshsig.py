"""OpenSSH's signatures of files (PROTOCOL.sshsig), as ``ssh-keygen -Y sign`` writes them and ``-Y verify`` reads them.

What is signed is a hash of the message, together with a *namespace* that says what the signature is for. A signature has
one spelling: bytes that ``encode`` would not write are refused, so nobody can hide anything in them. That does not make it
unique: of an ECDSA signature anybody can make a second one of the same message (SEC 1, B.3), so its bytes identify nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final

from installer_stub.errors import SignatureError
from installer_stub.trust.public_key import PublicKey
from installer_stub.trust.wire import Reader, WireError, string

__all__ = ["BEGIN", "HASHES", "NAMESPACE", "PublicKey", "Signature", "decode", "encode", "signed_data", "verify", "verify_digest"]

NAMESPACE: Final = "airseal"
HASHES: Final = ("sha512", "sha256")  # the first one is what we and ssh-keygen sign with
MAX_BYTES: Final = 16 * 1024  # armoured; one of P-521 has 800
_MAGIC: Final = b"SSHSIG"
_VERSION: Final = 1
BEGIN: Final = b"-----BEGIN SSH SIGNATURE-----"
_END: Final = b"-----END SSH SIGNATURE-----"
_COLUMNS: Final = 70
_AGAIN: Final = "get the file and its signature again from who signed it"


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed (``key``), what for, with which hash of the message, and the signature itself as SSH writes it (``blob``).

    SignatureError for values that no signature has. That it fits a message is what ``verify`` says.
    """

    key: PublicKey
    namespace: str
    hash_algorithm: str
    blob: bytes

    def __post_init__(self) -> None:
        if not is_namespace(self.namespace):
            raise SignatureError("a signature says for what it was made, and this one does not", _AGAIN)
        if self.hash_algorithm not in HASHES:
            raise SignatureError(f"a signature of a {self.hash_algorithm[:40]!r} hash is not taken", f"sign with {' or '.join(HASHES)}")
        self.key.raw(self.blob)


def is_namespace(text: str) -> bool:
    """Tell whether a signature can be made for this: some text, without NUL."""
    try:
        return text != "" and "\0" not in text and text.encode() != b""
    except UnicodeEncodeError:
        return False


def encode(signature: Signature) -> bytes:
    """Return the signature as ``ssh-keygen -Y sign`` writes it into a ``.sig`` file."""
    fields = (signature.key.blob, signature.namespace.encode(), b"", signature.hash_algorithm.encode(), signature.blob)
    blob = _MAGIC + _VERSION.to_bytes(4, "big") + b"".join(string(field) for field in fields)
    body = base64.b64encode(blob)
    lines = [body[start : start + _COLUMNS] for start in range(0, len(body), _COLUMNS)]
    return b"\n".join((BEGIN, *lines, _END, b""))


def decode(armored: bytes) -> Signature:
    """Return what a ``.sig`` file says. Raises SignatureError for bytes that ``encode`` does not write."""
    if len(armored) > MAX_BYTES:
        raise SignatureError(f"a signature has less than {MAX_BYTES} bytes, and this has more", "name the .sig file")
    lines = armored.split(b"\n")
    if len(lines) < 4 or lines[0] != BEGIN or lines[-2:] != [_END, b""]:
        raise SignatureError("this is no SSH signature", "name the .sig file that ssh-keygen -Y sign wrote, unchanged")
    try:
        signature = _parse(base64.b64decode(b"".join(lines[1:-2]), validate=True))
    except (WireError, UnicodeDecodeError, binascii.Error) as error:
        raise SignatureError(f"this SSH signature is malformed: {error}"[:200], _AGAIN) from None
    if encode(signature) != armored:
        raise SignatureError("this SSH signature is written in another way than it has to be", _AGAIN)
    return signature


def signed_data(namespace: str, hash_algorithm: str, digest: bytes) -> bytes:
    """Return what a key signs for a message with this ``digest`` (PROTOCOL.sshsig, section 3)."""
    return _MAGIC + b"".join(string(field) for field in (namespace.encode(), b"", hash_algorithm.encode(), digest))


def verify(signature: Signature, message: bytes, namespace: str = NAMESPACE) -> None:
    """Return if its key made ``signature`` of exactly ``message``, for ``namespace``. Raises SignatureError.

    Whose the key is, and whether anybody trusts it, is what ``allowed.judge`` says.
    """
    verify_digest(signature, hashlib.new(signature.hash_algorithm, message).digest(), namespace)


def verify_digest(signature: Signature, digest: bytes, namespace: str = NAMESPACE) -> None:
    """The same of a message whose digest under ``signature.hash_algorithm`` somebody has made already. Raises SignatureError."""
    if signature.namespace != namespace:
        problem = f"it was signed with {signature.key.fingerprint} for {signature.namespace[:60]!r}, not for {namespace!r}"
        raise SignatureError(problem, f"sign it for this use: ssh-keygen -Y sign -n {namespace}")
    signature.key.verify(signature.blob, signed_data(namespace, signature.hash_algorithm, digest))


def _parse(blob: bytes) -> Signature:
    """Raises WireError, UnicodeDecodeError, SignatureError."""
    reader = Reader(blob)
    if reader.take(len(_MAGIC)) != _MAGIC:
        raise WireError("it does not begin as one")
    if (version := reader.uint32()) != _VERSION:
        raise WireError(f"it has version {version}, and {_VERSION} is read")
    key, namespace, reserved = reader.string(), reader.string(), reader.string()
    algorithm, raw = reader.string(), reader.string()
    reader.end()
    if reserved:
        raise WireError("it has something in a field that is for later versions")
    return Signature(PublicKey(key), namespace.decode(), algorithm.decode("ascii"), raw)
