"""What lies in the cache: each thing with its size, when it was used last, and who holds it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundler.cache.builds import CachedBuild
from bundler.cluster_images.layers import LAYERS
from bundler.cluster_images.store import NAMES, ClusterImage, ClusterImages, roots
from registry_snapshot.oci.digest import Digest

BLOBS: Final = "blobs of images and cluster files"
DOWNLOADS: Final = "downloads of bases"
FIGURES: Final = "what is known of blobs"
STUBS: Final = "frozen installers"
PYTHONS: Final = "portable Pythons"
REST: Final = "beginnings and leftovers"
STEPS: Final = "results of steps"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing: a file or a directory. ``used`` in seconds since 1970; ``holders`` are titles of builds, cluster images, or why it stays."""

    kind: str
    path: Path
    size: int
    used: float
    holders: tuple[str, ...] = ()


def inventory(cache: Path, kept: Collection[CachedBuild], leaving: Collection[ClusterImage] = ()) -> list[Item]:
    """Return everything in the cache of builds. ``kept`` are the builds that hold.

    Names of cluster images hold what they lead to, those that are ``leaving`` do not.
    """
    images = ClusterImages(cache)
    holders = _holders(kept, roots(images, [image for image in images.all() if image not in leaving]))
    store = images.blobs
    used = {build.title: build.time for build in kept}
    items = []
    for digest in store.digests():
        held = holders.get(digest, ())
        if item := _item(BLOBS, store.path(digest), held):
            items.append(Item(item.kind, item.path, item.size, max([item.used, *(used[title] for title in held if title in used)]), held))
    here = {digest.encoded for digest in store.digests()}
    items += _each(cache / "store" / "blobs", "*/.*", REST)
    items += _each(cache / "downloads", "*", DOWNLOADS)
    items += _each(cache / "compressed", "zstd-*/*", FIGURES)
    items += _each(cache / LAYERS, "*.json", FIGURES)
    items += [item for name in (LAYERS, NAMES) for item in _each(cache / name, ".*", REST)]
    items += _each(cache / "unpacked", "*", FIGURES, lambda path: ("a layer",) if path.name in here else ())
    items += _each(cache / "runtime", "*", STUBS, lambda path: ("the installer",) if path.is_dir() else ())
    items += _each(cache / "stubs", "*", STUBS)  # unpacked from wheels that were named
    pythons = _newest(cache / "portable")
    items += _each(cache / "portable", "*", PYTHONS, lambda path: ("make stub",) if path in pythons else ())
    items += _each(cache / "steps", "*/*.json", STEPS, lambda path: tuple(build.title for build in kept if f"{path.parent.name}/{path.stem}" in build.steps))
    items += _each(cache / "coverage", "*/*.json", STEPS, lambda path: tuple(used.keys() & {f"{path.parent.name}:{path.stem}"}))
    items += _each(cache / "bases" / "staging", "*", REST)
    for name in ("recordings", "rehearsals"):
        items += [item for item in _each(cache / name, "*", REST) if item.path.is_dir()]
    return items


def holder_of(image: ClusterImage) -> str:
    """Return what a cluster image is called among the holders of a blob."""
    return f"cluster image {image.name}"


def _holders(kept: Collection[CachedBuild], images: Mapping[Digest, tuple[ClusterImage, ...]]) -> Mapping[Digest, tuple[str, ...]]:
    found = {digest: tuple(map(holder_of, by)) for digest, by in images.items()}
    for build in kept:
        for digest in build.blobs:
            found[digest] = (*found.get(digest, ()), build.title)
    return found


def _each(root: Path, pattern: str, kind: str, holders: Callable[[Path], tuple[str, ...]] = lambda _: ()) -> Iterator[Item]:
    for path in sorted(root.glob(pattern)):
        if path.name.endswith(".lock") or path.name == ".lock":
            continue
        if item := _item(kind, path, holders(path)):
            yield item


def _item(kind: str, path: Path, holders: tuple[str, ...]) -> Item | None:
    with contextlib.suppress(OSError):
        found = path.lstat()
        size = found.st_blocks * 512 if not path.is_dir() or path.is_symlink() else _tree(path)
        return Item(kind, path, size, found.st_mtime, holders)
    return None


def _newest(root: Path) -> set[Path]:
    """Return of each machine's portable Pythons the one that was used last: it takes ten minutes to make."""
    found: dict[str, tuple[float, Path]] = {}
    for path in root.glob("*-*"):
        if path.is_dir():
            machine = path.name.partition("-")[0]
            found[machine] = max(found.get(machine, (0.0, path)), (path.stat().st_mtime, path))
    return {path for _, path in found.values()}


def _tree(path: Path) -> int:
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(directory) / name).lstat().st_blocks * 512
    return total
