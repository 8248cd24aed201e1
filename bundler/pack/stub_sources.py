"""Which of our sources are frozen into the stub, and their hash: a stub belongs to the airseal that has the very same ones."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import installer_stub

# Our own packages, all modules of them except those that only a build needs.
PACKAGES: Final = ("installer_stub", "registry_snapshot")
BUILD_ONLY: Final = ("registry_snapshot.record",)
ROOT: Final = Path(installer_stub.__file__).resolve().parents[1]  # of this checkout, or site-packages


@functools.cache
def sources_digest() -> str:
    """Return the SHA-256, in hex, of every file that is frozen of ours, with its path. Raises OSError."""
    hasher = hashlib.sha256()
    for path in sources():
        content = path.read_bytes()
        hasher.update(f"{path.relative_to(ROOT).as_posix()}\0{len(content)}\0".encode())
        hasher.update(content)
    return hasher.hexdigest()


def sources() -> Iterator[Path]:
    """Yield those files, in a fixed order."""
    left_out = tuple(ROOT / Path(*name.split(".")) for name in BUILD_ONLY)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.is_file() and path.suffix != ".pyc" and not any(path.is_relative_to(skip) for skip in left_out):
                yield path
