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
from typing import Any, Final

from bundler.cache.in_docker import remove_image
from bundler.cache.prune import DAY
from bundler.engine import Engine, docker_errors
from installer_stub.bundle.model import INTERNAL_REGISTRY
from registry_snapshot.store.bounded import read_file
from registry_snapshot.store.disk import write_file
from registry_snapshot.store.durable import make_directory

KEEP: Final = 10  # builds whose images stay: as many as airseal cache prune lets hold
_FORMAT: Final = "airseal.cache.image/1"
_PREFIX: Final = f"{INTERNAL_REGISTRY}/image/"
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
    seen = {made: _inspected(engine, made.id) for made in made_images(cache)}
    roots = [_layers(value) for value in seen.values() if value is not None and any(_title(name) in holding for name in _names(value))]
    removed = 0
    for made, value in seen.items():
        if value is None:
            _path(cache, made.id).unlink(missing_ok=True)
            continue
        names, layers = _names(value), _layers(value)
        ours = [name for name in names if name.startswith(_PREFIX)]
        if any(_title(name) in holding for name in ours) or (ours and (now - made.time < DAY or _is_below(layers, roots))):
            continue
        if not names or ours:
            removed += all(remove_image(engine, name) for name in ours or [made.id])
    return removed


def _inspected(engine: Engine, image: str) -> dict[str, Any] | None:
    import docker.errors

    with docker_errors(f"docker cannot inspect {image}"):
        try:
            return dict(engine.client.api.inspect_image(image))  # type: ignore[no-untyped-call]
        except docker.errors.ImageNotFound:
            return None


def _names(value: dict[str, Any]) -> list[str]:
    return [name for name in value.get("RepoTags") or () if name != "<none>:<none>"]


def _layers(value: dict[str, Any]) -> tuple[str, ...]:
    return tuple((value.get("RootFS") or {}).get("Layers") or ())


def _title(name: str) -> str:
    return name.removeprefix(_PREFIX) if name.startswith(_PREFIX) else ""


def _is_below(layers: tuple[str, ...], roots: Collection[tuple[str, ...]]) -> bool:
    return bool(layers) and any(root[: len(layers)] == layers for root in roots)


def _path(cache: Path, identity: str) -> Path:
    return cache / "images" / f"{identity.rpartition(':')[2]}.json"


def _read(path: Path) -> MadeImage | None:
    try:
        value = json.loads(read_file(path, _MOST))
        image = MadeImage(str(value["id"]), str(value["title"]), float(value["time"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return image if value.get("format") == _FORMAT and _ID.fullmatch(image.id) and _path(path.parent.parent, image.id) == path else None
