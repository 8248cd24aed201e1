"""The result of recording, as it is kept: what the cluster used and why. Its blobs lie in the store."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from bundler.image_lock import all_blobs
from installer_stub.bundle.coverage import Coverage, decode_coverage, encode_coverage
from installer_stub.bundle.documents import decode_lock, encode_lock
from installer_stub.bundle.model import ImageLock
from installer_stub.errors import BundleError
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.base import BlobReader

FORMAT: Final = "airseal.step.record/2"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the cluster used, and why; what was seen and left out; when each image was first asked for, in seconds since 1970.

    ``quiet`` are closing lines: for how long nothing happened, and what was watched. ``time`` is when it was kept, in seconds
    since 1970; 0 until then. Neither it nor ``first_seen`` is any part of what is sealed.
    """

    lock: ImageLock
    coverage: Coverage
    first_seen: Mapping[Reference, float]
    quiet: tuple[str, ...] = ()
    time: float = 0.0

    @property
    def images(self) -> tuple[tuple[Reference, Descriptor], ...]:
        """Every image under the name it was asked for."""
        return self.lock.roots


def encode(recorded: Recorded) -> bytes:
    """Return the result as bytes."""
    value = {
        "format": FORMAT,
        "lock": encode_lock(recorded.lock).decode(),
        "coverage": encode_coverage(recorded.coverage).decode(),
        "firstSeen": {str(reference): seconds for reference, seconds in sorted(recorded.first_seen.items(), key=lambda item: str(item[0]))},
        "quiet": list(recorded.quiet),
        "time": recorded.time,
    }
    return json.dumps(value, indent=1).encode()


def decode(raw: bytes) -> Recorded | None:
    """Return the result, or None for bytes that are none: of another version, or torn. The step is done again then."""
    try:
        value = json.loads(raw)
        if value["format"] != FORMAT:
            return None
        seen = {Reference.parse(name): float(seconds) for name, seconds in value["firstSeen"].items()}
        lock, coverage = decode_lock(value["lock"].encode()), decode_coverage(value["coverage"].encode())
        return Recorded(lock, coverage, seen, tuple(map(str, value["quiet"])), float(value["time"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BundleError, RegistryError):
        return None


def is_whole(recorded: Recorded, blobs: BlobReader, platforms: tuple[Platform, ...]) -> bool:
    """Tell whether every blob is still in the store: somebody may have pruned it. Sealing hashes each again."""
    return has_all([descriptor for _, descriptor in recorded.images], blobs, platforms)


def has_all(roots: Collection[Descriptor], blobs: BlobReader, platforms: tuple[Platform, ...]) -> bool:
    """Tell whether every blob that ``roots`` need is in the store."""
    try:
        for digest in all_blobs(roots, blobs, platforms):
            blobs.size(digest)
    except RegistryError:
        return False
    return True
