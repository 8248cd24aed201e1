"""Reading a whole from outside, up to a bound that whoever reads names. What is longer is refused before it is in memory.

One public image whose config has gigabytes, one file that unpacks to them, and the build machine or a host is gone. So
there is no reader without a bound: a blob's size is looked at first, a file is read to one byte beyond it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from registry_snapshot.errors import ManifestInvalid, RegistryError
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.base import BlobReader, Extent

MAX_CONFIG_BYTES: Final = 4 * 1024 * 1024  # as containers/image has it (internal/iolimits): skopeo, podman and CRI-O read no larger one
MAX_SETTINGS_BYTES: Final = 1024 * 1024  # of a file that a person wrote, or docker


class TooLargeError(RegistryError):
    """There is more than anybody reads."""


def read_extent(extent: Extent, limit: int) -> bytes:
    """Return all of ``extent``. Raises TooLargeError for more than ``limit`` bytes, OSError."""
    if extent.size > limit:
        raise TooLargeError(f"{extent.size} bytes, where at most {limit} are read")
    return extent.read(extent.size)


def read_blob(blobs: BlobReader, digest: Digest, limit: int) -> bytes:
    """Return a small blob whole: a manifest, a config. Raises BlobUnknown, StoreError, ManifestInvalid for a larger one."""
    with blobs.open(digest) as extent:
        try:
            return read_extent(extent, limit)
        except TooLargeError as error:
            raise ManifestInvalid(f"{digest} has {error.problem}", "rebuild that image with shorter labels and annotations") from None


def read_file(path: Path, limit: int = MAX_SETTINGS_BYTES) -> bytes:
    """Return a file whole; a device or a pipe that never ends is read to the bound too. Raises TooLargeError, OSError."""
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise TooLargeError(f"{path} has more than {limit} bytes, and such files have a few", "name the right file")
    return data
