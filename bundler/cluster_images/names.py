"""What cluster images are called. A name without a slash is one of ours: ``shop:1.4.0`` is ``airseal.internal/image/shop:1.4.0``."""

from __future__ import annotations

from typing import Final

from bundler.errors import UsageError
from installer_stub.bundle.names import INTERNAL_REGISTRY
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.reference import Reference

OURS: Final = f"{INTERNAL_REGISTRY}/image/"
MARKS: Final = 12  # hex digits of a digest, where a line has no room for all


def full_name(text: str) -> Reference:
    """Return the reference that a person means. Raises UsageError for text that is none.

    One word is a build's own ``NAME[:TAG][@DIGEST]``; everything else is read as docker reads it, so that an image of Docker Hub's
    library is ``docker.io/library/NAME``.
    """
    try:
        return Reference.parse(text if "/" in text else f"{OURS}{text}")
    except RegistryError as error:
        raise UsageError(error.problem, "write NAME:TAG for one of this machine, or REGISTRY/PATH:TAG, in lower-case letters") from None


def short_name(reference: Reference) -> str:
    """Return how a person writes it: ``full_name`` gives the reference again."""
    text = str(reference)
    rest = text.removeprefix(OURS)
    return rest if "/" not in rest else text


def short_digest(text: str) -> str:
    """Return the beginning of a digest's hex digits, as docker shows an image's ID."""
    return text.rpartition(":")[2][:MARKS]
