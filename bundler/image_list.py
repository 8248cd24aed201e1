"""``/cluster/images.txt``: images that nobody will see being pulled, one a line; ``#`` begins a comment."""

from __future__ import annotations

from collections.abc import Iterable

import zstandard

from bundler.errors import KubefileError
from installer_stub.bundle.model import FILE_ZSTD, ClusterFile
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.base import BlobReader

FILE = "images.txt"


def listed_images(files: Iterable[ClusterFile], blobs: BlobReader) -> tuple[tuple[str, Reference], ...]:
    """Return (``images.txt:LINE``, reference) of every image that the cluster files list. Raises KubefileError."""
    for file in files:
        if file.path == FILE:
            with blobs.open(file.blob.digest) as extent:
                data = extent.read()
            if file.blob.media_type == FILE_ZSTD:
                data = zstandard.ZstdDecompressor().decompress(data)
            return parse_list(data.decode("utf-8", "replace"))
    return ()


def parse_list(text: str) -> tuple[tuple[str, Reference], ...]:
    """Return the images of a list with the line of each. Raises KubefileError for a line that is no reference."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        name = line.partition("#")[0].strip()
        if not name:
            continue
        try:
            found.append((f"{FILE}:{number}", Reference.parse(name)))
        except RegistryError as error:
            raise KubefileError(FILE, number, error.problem, error.remedy) from None
    return tuple(found)
