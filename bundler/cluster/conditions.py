"""``/cluster/conditions.yaml`` is read before anything is started: what is wrong in it need not cost a cluster."""

from __future__ import annotations

from collections.abc import Iterable

from bundler.errors import BuildFailed
from installer_stub.bundle.file_content import read_content
from installer_stub.bundle.model import ClusterFile
from installer_stub.clusterfile.document import MOST_BYTES
from installer_stub.errors import UsageError
from installer_stub.quiet.declared import FILE, parse
from registry_snapshot.store.base import BlobReader


def check_conditions(files: Iterable[ClusterFile], blobs: BlobReader) -> None:
    """Return if the bundle's conditions, where it declares any, make sense. Raises BuildFailed with every problem and its line."""
    file = next((each for each in files if each.path == FILE), None)
    if file is None:
        return
    if file.size > MOST_BYTES:
        raise BuildFailed(f"{FILE} is larger than {MOST_BYTES} bytes", "declare less, or let one command check many things")
    try:
        parse(read_content(file, blobs))
    except UsageError as error:
        raise BuildFailed(error.problem, error.remedy) from None
