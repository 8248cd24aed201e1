"""The builds that a cache remembers: what each one's artifact is made of. They hold it, and a running one holds everything.

::

    CACHE/builds/NAME/VERSION.json   the last build of each name and version
    CACHE/.in-use                    a lock: shared by what runs, exclusive for what deletes
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundler.errors import BuildError
from bundler.titles import parse_title
from registry_snapshot.errors import DigestInvalid, RegistryError
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.bounded import read_file
from registry_snapshot.store.disk import write_file
from registry_snapshot.store.durable import make_directory
from registry_snapshot.store.ours import open_lock

_FORMAT: Final = "airseal.cache.build/1"
_MOST: Final = 64 << 20  # bytes of one; ten thousand blobs are 800 KB


@dataclass(frozen=True, slots=True)
class CachedBuild:
    """One build that ended well. ``time`` in seconds since 1970; ``blobs`` are all of its artifact's, ``steps`` results: ``record/KEY``."""

    title: str
    time: float
    output: str
    blobs: frozenset[Digest]
    steps: frozenset[str] = frozenset()


@contextmanager
def in_use(cache: Path) -> Iterator[None]:
    """Keep everything in the cache while the ``with`` block lasts. Waits for a prune that is under way. Raises OSError."""
    lock = open_lock(cache / ".in-use")
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield
    finally:
        os.close(lock)


@contextmanager
def alone(cache: Path) -> Iterator[None]:
    """Hold the cache alone. Raises BuildError at once if a build runs in it, OSError."""
    lock = open_lock(cache / ".in-use")
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BuildError(f"a build is running in the cache {cache}", "prune when it has ended: nothing that it uses is taken away") from None
        yield
    finally:
        os.close(lock)


def remember_build(cache: Path, title: str, output: Path, blobs: Iterable[Digest], time: float, *, steps: Iterable[str] = ()) -> None:
    """Write down what a build made, in place of an earlier one of that title. Raises StoreError, OSError."""
    path = _path(cache, title)
    make_directory(path.parent)
    value = {"format": _FORMAT, "title": title, "time": time, "output": str(output), "blobs": sorted(map(str, blobs)), "steps": sorted(steps)}
    write_file(path, json.dumps(value, indent=1).encode())


def forget_build(cache: Path, title: str) -> None:
    """Let go of what a build holds."""
    _path(cache, title).unlink(missing_ok=True)


def builds(cache: Path) -> tuple[CachedBuild, ...]:
    """Return the builds that are remembered, the last one first. What cannot be read holds nothing, and is left out."""
    found = [build for path in (cache / "builds").glob("*/*.json") if (build := _read(path)) is not None]
    return tuple(sorted(found, key=lambda build: (-build.time, build.title)))


def _read(path: Path) -> CachedBuild | None:
    try:
        value = json.loads(read_file(path, _MOST))
        if value["format"] != _FORMAT:
            return None
        blobs = frozenset(Digest.parse(str(text)) for text in value["blobs"])
        build = CachedBuild(str(value["title"]), float(value["time"]), str(value["output"]), blobs, frozenset(map(str, value.get("steps", ()))))
        parse_title(build.title)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, DigestInvalid, RegistryError, BuildError):
        return None
    return build


def _path(cache: Path, title: str) -> Path:
    """Return the file; both parts of a title follow the rules of tags, so that neither leaves the directory. Raises UsageError."""
    name, version = parse_title(title)
    return cache / "builds" / name / f"{version}.json"
