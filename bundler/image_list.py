"""Images that nobody will see being pulled: those of ``/cluster/images.txt``, one a line, and the nodes' load balancer.

``#`` begins a comment in the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import zstandard

from bundler.errors import BuildFailed, KubefileError
from installer_stub.bundle.model import BALANCER_LABEL, FILE_ZSTD, ClusterFile
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


def balancer_image(labels: Mapping[str, str]) -> tuple[tuple[str, Reference], ...]:
    """Return why and the reference of the image that the label names: the recorded cluster has one host, and none of it runs.

    The label is the only place that names it, so what the installer reads there is always in the bundle. Raises BuildFailed.
    """
    name = labels.get(BALANCER_LABEL, "")
    if not name:
        return ()
    try:
        return (("load balancer of the nodes", Reference.parse(name)),)
    except RegistryError as error:
        raise BuildFailed(f"label {BALANCER_LABEL}: {error.problem}", "name an image, for example docker.io/library/haproxy:3.0.11") from None


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
