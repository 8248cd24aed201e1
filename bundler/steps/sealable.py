"""What sealing needs besides blobs and a recording, kept by every build: ``airseal seal`` makes the file of it without docker."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bundler.steps.shelf import Shelf, key_of
from registry_snapshot.errors import RegistryError

if TYPE_CHECKING:  # a push asks of most caches whether anything is kept at all, and reads no bundle
    from installer_stub.bundle.model import BundleInfo

STEP: Final = "seal"
FORMAT: Final = "airseal.step.seal/1"


@dataclass(frozen=True, slots=True)
class Sealable:
    """A bundle before the sizes of its images are known, and the key of its recording; ``stub`` is the installer's SHA-256, in hex.

    ``allowed`` is what the recording was let do that no site lets it. One recording serves any number of names and versions.
    """

    info: BundleInfo
    recording: str
    stub: str
    allowed: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The key on the shelf: people name it by its first letters."""
        return key_of(_value(self))

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of the results that it consists of."""
        return f"record/{self.recording}", f"{STEP}/{self.key}"


def keep(cache: Path, sealable: Sealable) -> str:
    """Keep it, and return its key. Raises StoreError, OSError."""
    Shelf(cache, STEP).put(sealable.key, encode(sealable))
    return sealable.key


def encode(sealable: Sealable) -> bytes:
    """Return it as bytes."""
    return json.dumps(_value(sealable), indent=1).encode()


def kept(cache: Path) -> tuple[Sealable, ...]:
    """Return everything that is kept, what was built last first. What cannot be read is left out."""
    return tuple(found for _, raw in Shelf(cache, STEP).newest() if (found := decode(raw)) is not None)


def is_anything_kept(cache: Path) -> bool:
    """Tell whether there is anything at all."""
    return next(Shelf(cache, STEP).newest(), None) is not None


def decode(raw: bytes) -> Sealable | None:
    """Return what was kept, or None for bytes that are none: of another version, or torn."""
    from installer_stub.bundle.documents import info_from_json

    try:
        value = json.loads(raw)
        if value["format"] != FORMAT:
            return None
        return Sealable(info_from_json(value["bundle"]), str(value["recording"]), str(value["stub"]), tuple(map(str, value["allowed"])))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, RegistryError):
        return None


def _value(sealable: Sealable) -> dict[str, object]:
    from installer_stub.bundle.documents import info_to_json

    return {
        "format": FORMAT,
        "bundle": info_to_json(sealable.info),
        "recording": sealable.recording,
        "stub": sealable.stub,
        "allowed": list(sealable.allowed),
    }
