"""JSON that was signed, read so that nobody reads it in another way: no member twice, no bytes that are not UTF-8, no numbers without an end."""

from __future__ import annotations

import base64
import binascii
import json


class UnfitError(Exception):
    """A signature that proves nothing; the text says why, in words that follow its name."""


def parse(raw: bytes, what: str) -> dict[str, object]:
    """Return the object in ``raw``. Raises UnfitError."""
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_once, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise UnfitError(f"{what} is no JSON that everybody reads alike: {str(error)[:100]}") from None
    if not isinstance(value, dict):
        raise UnfitError(f"{what} is no JSON object")
    return value


def member(value: dict[str, object], name: str, what: str) -> dict[str, object]:
    """Return the member ``name``, an object. Raises UnfitError."""
    found = value.get(name)
    if not isinstance(found, dict):
        raise UnfitError(f"{what} has no {name}")
    return found


def text(value: dict[str, object], name: str, what: str) -> str:
    """Return the member ``name``, a text. Raises UnfitError."""
    found = value.get(name)
    if not isinstance(found, str):
        raise UnfitError(f"{what} has no {name}")
    return found


def decoded(encoded: str, what: str) -> bytes:
    """Return what is written in base64. Raises UnfitError."""
    try:
        return base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise UnfitError(f"{what} is no base64") from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a member stands twice")
    return found


def _refused(name: str) -> object:
    raise ValueError(f"{name} is no number")
