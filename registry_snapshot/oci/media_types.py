"""Media types of OCI and Docker, and what kind each is.

Source: OCI image-spec media-types.md; Docker "Image Manifest V2, Schema 2".
"""

from typing import Final

OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD: Final = "application/vnd.oci.image.layer.v1.tar+zstd"
OCI_NONDISTRIBUTABLE: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar"
OCI_EMPTY: Final = "application/vnd.oci.empty.v1+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
OCTETS: Final = "application/octet-stream"

INDEXES: Final = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})

# What we ask an upstream for: everything that we can store byte for byte. Same set as containerd's resolver.
ACCEPT_MANIFESTS: Final = (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX)


def is_index(media_type: str) -> bool:
    """Tell whether ``media_type`` is a list of manifests."""
    return media_type in INDEXES


def is_manifest(media_type: str) -> bool:
    """Tell whether ``media_type`` is a single manifest."""
    return media_type in MANIFESTS


def without_parameters(content_type: str) -> str:
    """Return a Content-Type header's type alone: ``a/b; charset=utf-8`` is ``a/b``."""
    return content_type.partition(";")[0].strip()
