"""The one form of a bundle's own documents, and one rule for bytes that come as one: a value, or a BundleError.

Whoever seals can write what they like: numbers without an end, halves of surrogate pairs, lists in lists. What a decoder meets on
its way through them, and on the way back that shows whether they are canonical, is caught in one place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from installer_stub.errors import BundleError
from registry_snapshot.errors import RegistryError

SEALED_AGAIN: Final = "get the file again from who sealed it"
UPDATE: Final = "get an airseal at least as new as the one that sealed the file, or seal it again with this one"
LARGEST: Final = 2**63  # no size, and no sum of sizes, has as much: an int64 in OCI's descriptors and in file systems


def write(value: object) -> bytes:
    """Return the bytes of a document. Raises UnicodeEncodeError for half of a surrogate pair, ValueError, RecursionError."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def parse(raw: bytes, name: str, *formats: str) -> dict[str, Any]:
    """Return the object that is in ``raw``, of one of ``formats``, the first of which is written today. Raises BundleError."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise BundleError(f"{name} is not JSON", "copy the file again and compare its SHA-256 with the sender's") from None
    with refusing(name):
        found = value["format"]
        known = isinstance(found, str) and found in formats
        if not known:
            raise BundleError(f"{name} has the format {str(found)[:60]!r}, this program reads {formats[0]!r}", UPDATE)
        return dict(value)


def count(value: Any) -> int:
    """Return a number of bytes, seconds, or things. Raises TypeError, ValueError, OverflowError for what none of them can be."""
    number = int(value)
    if not 0 <= number < LARGEST:
        raise ValueError("a number is below zero, or larger than anything has")
    return number


@contextmanager
def refusing(name: str, remedy: str = SEALED_AGAIN) -> Iterator[None]:
    """Make a BundleError of whatever a malformed document ``name`` brings about."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError, RegistryError) as error:
        raise BundleError(f"{name} is malformed: {_why(error)}", remedy) from None


def _why(error: Exception) -> str:
    return f"{str(error.args[0])[:60]} is missing" if isinstance(error, KeyError) else str(error)[:200]
