"""Which repositories are known to have which blobs: from there a registry can mount them, and they need not travel a second time.

What was pushed or pulled is written down, a result like any other of the cache. It may be wrong by now: then the blob is sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from bundler.cluster_images.store import ClusterImages
from bundler.errors import ClusterImageIncomplete
from bundler.steps.shelf import Shelf, key_of
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Repository

STEP: Final = "held"


def remember_held(cache: Path, repository: Repository, digests: Iterable[Digest]) -> None:
    """Write down that a repository has these, and what it had. Raises StoreError, OSError."""
    shelf, key = Shelf(cache, STEP), key_of({"repository": str(repository)})
    before = _decode(shelf.get(key) or b"")
    held = {*digests, *(before[1] if before is not None else ())}
    value = {"registry": repository.registry, "path": repository.path, "blobs": sorted(map(str, held))}
    shelf.put(key, json.dumps(value).encode())


def held_elsewhere(images: ClusterImages, target: Repository) -> Iterator[tuple[Digest, Repository]]:
    """Yield blobs that other repositories of the registry of ``target`` have, as far as is known here."""
    for image in images.all():
        repository = image.reference.repository
        if repository.registry == target.registry and repository != target:
            try:
                yield from ((part.digest, repository) for part in images.parts(image))
            except ClusterImageIncomplete:
                continue
    for _, raw in Shelf(images.cache, STEP).newest():
        found = _decode(raw)
        if found is not None and found[0].registry == target.registry and found[0] != target:
            yield from ((digest, found[0]) for digest in found[1])


def _decode(raw: bytes) -> tuple[Repository, tuple[Digest, ...]] | None:
    try:
        value = json.loads(raw)
        return Repository.of(str(value["registry"]), str(value["path"])), tuple(Digest.parse(str(text)) for text in value["blobs"])
    except (ValueError, KeyError, TypeError, RecursionError, RegistryError):
        return None
