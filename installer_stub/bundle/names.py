"""The names of everything that an artifact consists of, and their order in the file (docs/bundle-format.md)."""

from __future__ import annotations

import base64
import re
from typing import Final

from registry_snapshot.oci.digest import Digest

# ".internal" is reserved for private use (ICANN, 2024), so this registry can exist nowhere else.
INTERNAL_REGISTRY: Final = "airseal.internal"
OCI_LAYOUT: Final = "oci-layout"
INDEX: Final = "index.json"
BUNDLE: Final = "airseal/bundle.json"
LOCK: Final = "airseal/images.lock.json"
COVERAGE: Final = "airseal/coverage.json"
RECEIPT: Final = "airseal/rehearsal.json"
PACKAGE: Final = "stub.pkg"
BOOTLOADER: Final = "bootloader"  # not an entry of the archive: the bytes before it
STUB: Final = "stub"  # not an entry either: bootloader and stub.pkg put together
BLOBS: Final = "blobs/"  # what an OCI image layout calls the directory of its blobs

REQUIRED: Final = frozenset({BOOTLOADER, STUB, OCI_LAYOUT, INDEX, LOCK, PACKAGE})  # parts that every bundle has
KNOWN: Final = REQUIRED | {COVERAGE, RECEIPT}  # and that one of format 2 may have: no other
MOST_SIGNATURES: Final = 8  # a publisher, the one before, a company's own: more is no help to anyone

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_SIGNATURE = re.compile(r"airseal/signatures/[0-9a-f]{64}\.sig")


def blob_name(digest: Digest) -> str:
    """Return where an OCI image layout keeps a blob."""
    return f"{BLOBS}{digest.algorithm}/{digest.encoded}"


def digest_of_blob(name: str) -> Digest:
    """Return the digest of the blob that ``blob_name`` calls ``name``. Raises DigestInvalid."""
    return Digest.parse(name.removeprefix(BLOBS).replace("/", ":", 1))


def is_fingerprint(text: str) -> bool:
    """Tell whether a text is the fingerprint of a key as ``ssh-keygen -l`` shows it: SHA256 and 43 letters of base64."""
    if not _FINGERPRINT.fullmatch(text):
        return False
    return base64.b64encode(base64.b64decode(text[7:] + "=")).decode() == text[7:] + "="  # the last letter has two bits that are 0


def signature_name(fingerprint: str) -> str:
    """Return where the signature by the key with this fingerprint lies: a name of its hash in hex, since base64 has slashes."""
    return f"airseal/signatures/{base64.b64decode(fingerprint[7:] + '=').hex()}.sig"


def is_signature(name: str) -> bool:
    """Tell whether an entry is a signature of ``airseal/bundle.json``, which therefore cannot list it."""
    return _SIGNATURE.fullmatch(name) is not None


def file_order(name: str) -> tuple[int, str]:
    """Return the sort key of an entry: what describes the rest comes first, the package last.

    The bootloader looks for its package from the end of the file backwards, so that anything behind it would cost
    every start the time to read it (measured: 20 s for 3 GB), and could start another program that lies in it.
    """
    fixed = {OCI_LAYOUT: 0, INDEX: 1, BUNDLE: 2, PACKAGE: 9}
    return fixed.get(name, 5 if name.startswith(BLOBS) else 3 if is_signature(name) else 4), name
