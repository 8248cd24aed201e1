"""Signatures of a bundle: OpenSSH's, of the exact bytes of ``airseal/bundle.json``, which names every other byte of the file.

So they are the only entries whose bytes it does not name; whose they are it says. Each lies under the hash of its key, and what lies
there and is not that key's signature of this bundle is damage, like any other byte that is not what it should be.
"""

from __future__ import annotations

from collections.abc import Mapping

from installer_stub.bundle.damage import COPY_AGAIN
from installer_stub.bundle.documents import BundleDocument
from installer_stub.bundle.names import is_signature, signature_name
from installer_stub.errors import SignatureError
from installer_stub.trust.sshsig import MAX_BYTES, Signature, decode, verify

_AGAIN = "get the file again from who signed it"


def sizes_of(document: BundleDocument, entries: Mapping[str, int]) -> dict[str, int]:
    """Return the sizes in bytes of the signatures that ``document`` says the file has; ``entries`` are those of all entries.

    Raises SignatureError where one is gone, has come, or is larger than any is.
    """
    wanted = {signature_name(fingerprint): fingerprint for fingerprint in document.publishers}
    if gone := [fingerprint for name, fingerprint in wanted.items() if name not in entries]:
        raise SignatureError(f"the signature of {', '.join(gone)} was taken out of it", _AGAIN)
    if strange := [name for name in entries if is_signature(name) and name not in wanted]:
        raise SignatureError(f"it holds signatures that nobody was to make: {', '.join(strange)}"[:400], _AGAIN)
    if large := [name for name in wanted if entries[name] > MAX_BYTES]:
        raise SignatureError(f"the signature {large[0]} has {entries[large[0]]} bytes, and none has more than {MAX_BYTES}", COPY_AGAIN)
    return {name: entries[name] for name in wanted}


def signature_of(name: str, armored: bytes, bundle: bytes) -> Signature:
    """Return the signature in the entry ``name``. Raises SignatureError unless it is one of ``bundle``, the bytes of bundle.json."""
    try:
        signature = decode(armored)
        verify(signature, bundle)
    except SignatureError as error:
        raise SignatureError(f"the signature {name} is not right: {error.problem}", error.remedy) from None
    if signature_name(signature.key.fingerprint) != name:
        raise SignatureError(f"the signature {name} is of another key, {signature.key.fingerprint}", _AGAIN)
    return signature
