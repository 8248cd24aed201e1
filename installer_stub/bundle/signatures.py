"""Signatures of a bundle: OpenSSH's, of the exact bytes of ``airseal/bundle.json``, which names every other byte of the file.

So they are the only entries that it does not name. Each lies under the SHA-256 of its key; what lies there and is not that key's
signature of this bundle is damage, like any other byte that is not what it should be.
"""

from __future__ import annotations

from collections.abc import Mapping

from installer_stub.bundle.names import MOST_SIGNATURES, signature_name
from installer_stub.errors import SignatureError
from installer_stub.trust.sshsig import MAX_BYTES, Signature, decode, verify

_AGAIN = "get the file again from who signed it, or let them sign it again"


def are_too_many(sizes: Mapping[str, int]) -> bool:
    """Tell whether an artifact holds more signatures, or larger ones, than any has. ``sizes`` in bytes, by the entries' names."""
    return len(sizes) > MOST_SIGNATURES or any(size > MAX_BYTES for size in sizes.values())


def signature_of(name: str, armored: bytes, bundle: bytes) -> Signature:
    """Return the signature in the entry ``name``. Raises SignatureError unless it is one of ``bundle``, the bytes of bundle.json."""
    try:
        signature = decode(armored)
        verify(signature, bundle)
    except SignatureError as error:
        raise SignatureError(f"the signature {name} is not right: {error.problem}", error.remedy) from None
    if signature_name(signature.key.hex) != name:
        raise SignatureError(f"the signature {name} is of another key, {signature.key.fingerprint}", _AGAIN)
    return signature
