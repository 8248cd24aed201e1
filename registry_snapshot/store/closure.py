"""The closure of an image: everything a client needs to run it, and nothing for platforms nobody asked for.

An index stays byte for byte what it was; children that are not wanted are simply absent (a *sparse* index).
"""

from __future__ import annotations

from collections.abc import Iterable

from registry_snapshot.errors import BlobUnknown, ManifestInvalid, NothingForPlatform
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import MAX_MANIFEST_BYTES, Index, Manifest, parse_manifest
from registry_snapshot.store.base import BlobReader
from registry_snapshot.store.bounded import MAX_CONFIG_BYTES, read_blob

MAX_DEPTH = 8  # an index may hold indexes; nobody nests deeper, and a loop needs a hash collision


def holds_others(descriptor: Descriptor) -> bool:
    """Tell whether ``descriptor`` points at an index or a manifest, which have children."""
    return media_types.is_index(descriptor.media_type) or media_types.is_manifest(descriptor.media_type)


def identities(parts: Iterable[Descriptor]) -> tuple[Digest, ...]:
    """Return the digests among the parts of an image that a runtime may call it by, each once, in their order.

    containerd reports the manifest's or the index's digest, docker and CRI's image list the config's.
    """
    configs = {media_types.OCI_CONFIG, media_types.DOCKER_CONFIG}
    return tuple(dict.fromkeys(part.digest for part in parts if holds_others(part) or part.media_type in configs))


def children(parsed: Manifest | Index, platforms: tuple[Platform, ...] | None) -> tuple[Descriptor, ...]:
    """Return what ``parsed`` needs: an index its children for ``platforms``, all if that is None, a manifest its config and layers.

    Raises NothingForPlatform if an index has children, but none for any of ``platforms``.
    """
    if isinstance(parsed, Manifest):
        return parsed.children()
    if platforms is None:
        return parsed.manifests
    wanted = parsed.wanted(platforms)
    if parsed.manifests and not wanted:
        offered = sorted({str(child.platform) for child in parsed.manifests if child.platform})
        raise NothingForPlatform(
            f"the image has nothing for {', '.join(map(str, platforms))}; it offers {', '.join(offered)}",
            "use an image that is built for this platform, or build for one of those it offers",
        )
    return wanted


def read_manifest(blobs: BlobReader, descriptor: Descriptor) -> Manifest | Index:
    """Return the stored manifest or index. Raises BlobUnknown, ManifestInvalid, StoreError."""
    return parse_manifest(read_blob(blobs, descriptor.digest, MAX_MANIFEST_BYTES), descriptor.media_type)


def closure(blobs: BlobReader, root: Descriptor, platforms: tuple[Platform, ...] | None) -> tuple[Descriptor, ...]:
    """Return ``root`` and all it needs for ``platforms`` (None: for every one), each once, parents before children, in the order manifests list them.

    Layers that stand elsewhere too (``urls``) belong to it: where there is no network, elsewhere does not exist.
    Raises BlobUnknown if something is missing, ManifestInvalid if a size is not what its parent says.
    """
    walk = _Walk(blobs, platforms)
    walk.visit(root, 0)
    return tuple(walk.found.values())


class _Walk:
    """One way through an image. What is listed in several places is read once, or indexes of indexes would never end."""

    def __init__(self, blobs: BlobReader, platforms: tuple[Platform, ...] | None) -> None:
        self._blobs = blobs
        self._platforms = platforms
        self._read: set[Digest] = set()
        self.found: dict[Digest, Descriptor] = {}

    def visit(self, descriptor: Descriptor, depth: int) -> None:
        digest = descriptor.digest
        try:
            size = self._blobs.size(digest)
        except BlobUnknown as error:
            raise BlobUnknown(f"{digest} ({descriptor.media_type}, {descriptor.size} bytes) is missing", error.remedy) from None
        if size != descriptor.size:
            raise ManifestInvalid(f"{digest} has {size} bytes, but is listed with {descriptor.size}", "rebuild that image")
        self.found.setdefault(digest, descriptor)
        if not holds_others(descriptor) or digest in self._read:
            return
        self._read.add(digest)
        if depth == MAX_DEPTH:
            raise ManifestInvalid(f"indexes are nested more than {MAX_DEPTH} deep at {digest}")
        for child in children(read_manifest(self._blobs, descriptor), self._platforms):
            self.visit(child, depth + 1)


def platforms_of(blobs: BlobReader, root: Descriptor, platforms: tuple[Platform, ...]) -> tuple[Platform, ...]:
    """Return the platforms an image really has here, sorted: of an index, its wanted children's; else its config's.

    Content that is no container image (a chart, a signature), or whose config does not say, has none. Raises BlobUnknown, ManifestInvalid.
    """
    parsed = read_manifest(blobs, root)
    if isinstance(parsed, Index):
        listed = {child.platform for child in children(parsed, platforms) if child.platform is not None}
        return tuple(sorted(listed))
    if parsed.config.media_type not in {media_types.OCI_CONFIG, media_types.DOCKER_CONFIG}:
        return ()
    platform = Platform.of_config(read_blob(blobs, parsed.config.digest, MAX_CONFIG_BYTES))
    return (platform,) if platform.os and platform.architecture else ()
