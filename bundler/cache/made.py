"""The cluster images that builds of this cache made in docker: remembered by ID, so that none of anybody else's is ever taken away.

::

    CACHE/images/HEX.json   an image that docker was told to build, for which title and when

Docker keeps every image that is built, the one that an equal tag had before without a name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundler.cache.in_docker import IMAGE, is_below, remove_image
from bundler.cache.prune import DAY
from bundler.engine import Engine
from registry_snapshot.store.bounded import read_file
from registry_snapshot.store.disk import write_file
from registry_snapshot.store.durable import make_directory

_FORMAT: Final = "airseal.cache.image/1"
_ID: Final = re.compile(r"sha256:[0-9a-f]{64}")
_MOST: Final = 1 << 16  # bytes of one file


@dataclass(frozen=True, slots=True)
class MadeImage:
    """One image. ``time`` in seconds since 1970."""

    id: str
    title: str
    time: float


def remember_image(cache: Path, image: MadeImage) -> None:
    """Write down that docker made an image for us. Raises StoreError, OSError."""
    if _ID.fullmatch(image.id):
        path = _path(cache, image.id)
        make_directory(path.parent)
        write_file(path, json.dumps({"format": _FORMAT, "id": image.id, "title": image.title, "time": image.time}).encode())


def made_images(cache: Path) -> tuple[MadeImage, ...]:
    """Return what is remembered; what cannot be read is left out, and its image left alone."""
    return tuple(image for path in sorted((cache / "images").glob("*.json")) if (image := _read(path)) is not None)


def remove_older(engine: Engine, cache: Path, holding: Collection[str], now: float) -> int:
    """Remove images of ours that no build of ``holding`` stands on, and return how many went.

    One that lost its name to a newer build goes at once; one that has its name, of a build that failed or is not among the last any
    more, a day after it was made. A name that somebody gave is never taken away, and what docker will not let go stays. Raises
    DockerError. To be called by whoever holds the cache alone.
    """
    seen = {made: engine.image(made.id) for made in made_images(cache)}
    roots = [image.layers for image in seen.values() if image is not None and any(_title(name) in holding for name in image.names)]
    removed = 0
    for made, image in seen.items():
        if image is None:
            _path(cache, made.id).unlink(missing_ok=True)
            continue
        ours = [name for name in image.names if name.startswith(IMAGE)]
        if any(_title(name) in holding for name in ours) or (ours and (now - made.time < DAY or any(is_below(image.layers, root) for root in roots))):
            continue
        if not image.names or ours:
            removed += all(remove_image(engine, name) for name in ours or [made.id])
    return removed


def _title(name: str) -> str:
    return name.removeprefix(IMAGE) if name.startswith(IMAGE) else ""


def _path(cache: Path, identity: str) -> Path:
    return cache / "images" / f"{identity.rpartition(':')[2]}.json"


def _read(path: Path) -> MadeImage | None:
    try:
        value = json.loads(read_file(path, _MOST))
        image = MadeImage(str(value["id"]), str(value["title"]), float(value["time"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return image if value.get("format") == _FORMAT and _ID.fullmatch(image.id) and _path(path.parent.parent, image.id) == path else None
