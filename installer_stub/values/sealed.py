"""The schema of a bundle, read out of its cluster files."""

from __future__ import annotations

from collections.abc import Iterable

from installer_stub.bundle.file_content import read_content
from installer_stub.bundle.model import ClusterFile
from installer_stub.clusterfile.document import MOST_BYTES
from installer_stub.errors import BundleError
from installer_stub.values.schema import FILE, NO_VALUES, Schema, parse_schema
from registry_snapshot.store.base import BlobReader


def schema_of(files: Iterable[ClusterFile], blobs: BlobReader) -> Schema:
    """Return what the cluster files declare; NO_VALUES for a bundle that lets a site set nothing. Raises UsageError, BundleError."""
    file = next((each for each in files if each.path == FILE), None)
    if file is None:
        return NO_VALUES
    if file.size > MOST_BYTES:
        raise BundleError(f"{FILE} is {file.size} bytes long; {MOST_BYTES} is the most", "declare fewer values")
    return parse_schema(read_content(file, blobs))
