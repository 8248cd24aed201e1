"""Shelf: one file a result, ``steps/STEP/KEY.json`` of the cache, whole or not there. The key is a hash of everything that went in."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from registry_snapshot.store.disk import write_file

KEPT: Final = 32  # results of one step; the one that was used longest ago goes
_MOST: Final = 256 << 20  # bytes of a result


def key_of(inputs: Mapping[str, object]) -> str:
    """Return the key of a step: the SHA-256, in hex, of its inputs as JSON. Whatever is no JSON counts by its ``str``."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


class Shelf:
    """Results of one step. Builds side by side may use it: each result is written whole, and the same key has the same result."""

    def __init__(self, cache: Path, step: str) -> None:
        self._home = cache / "steps" / step

    def get(self, key: str) -> bytes | None:
        """Return a result, or None where there is none. What cannot be read is none: the step is done again."""
        path = self._path(key)
        result = _read(path)
        if result is not None:
            with contextlib.suppress(OSError):
                os.utime(path)
        return result

    def newest(self) -> Iterator[tuple[str, bytes]]:
        """Yield every result with its key, the one that was used last first. To look at it is no use."""
        for path in sorted(self._home.glob("*.json"), key=_used, reverse=True):
            result = _read(path)
            if result is not None:
                yield path.stem, result

    def put(self, key: str, result: bytes) -> None:
        """Keep a result, on the disk when this returns. Raises StoreError, OSError."""
        self._home.mkdir(parents=True, exist_ok=True)
        write_file(self._path(key), result)
        found = sorted(self._home.glob("*.json"), key=_used, reverse=True)
        for old in found[KEPT:]:
            old.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._home / f"{key}.json"


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST + 1)
    except OSError:
        return None
    return data if len(data) <= _MOST else None


def _used(path: Path) -> float:
    with contextlib.suppress(FileNotFoundError):  # another build has just taken it away
        return path.stat().st_mtime
    return 0.0
