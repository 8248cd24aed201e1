"""The /cluster of an image from its layers alone, as docker's archive of it would be: for machines that have no docker.

Layers are read twice: once for what stands where in the end, once for the contents that are left. Nothing is unpacked to a disk.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final, cast

from bundler.bases.tar_limits import BoundedTarInfo
from bundler.cluster_images.contents import ImageContents
from bundler.cluster_images.layer_tree import LayerTree, Node, Source, walk
from bundler.errors import BuildFailed, ClusterImageInvalid
from bundler.files import ROOT, Pieces
from bundler.unpacked import unpacked
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.base import BlobReader

MOST_ENTRIES: Final = 2_000_000  # of all layers together; a whole Debian with everything has a tenth
_BLOCK: Final = 512  # tar's
_PIECE: Final = 1 << 20
_REMEDY: Final = "bring the image anew, or build it again"


def cluster_tree(image: ImageContents, blobs: BlobReader) -> Node:
    """Return what stands at /cluster in an image and below it, every layer read and hashed.

    Raises ClusterImageInvalid for layers that are torn, altered or hostile, BuildFailed if there is none, StoreError.
    """
    tree, count = LayerTree(ROOT), 0
    for number in range(len(image.manifest.layers)):
        with opened_layer(image, number, blobs, check=True) as tar:
            for position, entry in enumerate(tar):
                tree.add(entry, (number, position))
                count += 1
                tar.members.clear()  # type: ignore[attr-defined] # it remembers every entry, and is never asked for one again
                if count > MOST_ENTRIES:
                    raise ClusterImageInvalid(f"{image.descriptor.digest} has more than {MOST_ENTRIES} files", _REMEDY)
        tree.end_layer()
    if tree.root is None:
        raise BuildFailed("the image has no /cluster", "begin with FROM kubernetes:…, or COPY something there")
    return tree.root


def flatten(image: ImageContents, blobs: BlobReader, root: Node | None = None, most: int | None = None) -> Iterator[bytes]:
    """Yield a tar stream of an image's /cluster, for ``bundler.files.collect``. Raises as ``cluster_tree`` does.

    ``root`` is what ``cluster_tree`` said, if it was asked before. Whoever wants to look at small files only says ``most``: one of more bytes
    comes without its content.
    """
    root = root or cluster_tree(image, blobs)
    wanted: dict[Source, list[str]] = {}
    for path, node in walk(root, ROOT):
        if node.is_directory:
            yield _header(path, tarfile.DIRTYPE, mode=node.entry.mode if node.entry is not None else 0o755)
        elif node.entry is not None and node.entry.kind == tarfile.REGTYPE:
            wanted.setdefault(node.entry.source, []).append(path)
        elif node.entry is not None:
            yield _header(path, node.entry.kind, link=node.entry.link, mode=node.entry.mode)
    for number in sorted({layer for layer, _ in wanted}):
        yield from _contents(image, number, wanted, blobs, most)
    yield b"\0" * (2 * _BLOCK)


def _contents(image: ImageContents, number: int, wanted: dict[Source, list[str]], blobs: BlobReader, most: int | None) -> Iterator[bytes]:
    """Yield the files of one layer that are left; one that has several names once, and then links to it."""
    with opened_layer(image, number, blobs) as tar:
        for position, entry in enumerate(tar):
            tar.members.clear()  # type: ignore[attr-defined]
            first, *others = wanted.get((number, position), [""])
            if not first or (source := tar.extractfile(entry)) is None:
                continue
            size = entry.size if most is None or entry.size <= most else 0
            yield _header(first, tarfile.REGTYPE, mode=entry.mode, size=size)
            while size and (piece := source.read(_PIECE)):
                yield piece
            yield b"\0" * (-size % _BLOCK)
            for other in others:
                yield _header(other, tarfile.LNKTYPE, link=first, mode=entry.mode)


def _header(path: str, kind: bytes, *, link: str = "", mode: int = 0o644, size: int = 0) -> bytes:
    entry = tarfile.TarInfo(path)
    entry.type, entry.linkname, entry.mode, entry.size = kind, link, mode & 0o7777, size
    return entry.tobuf(tarfile.GNU_FORMAT, errors="surrogateescape")


@contextmanager
def opened_layer(image: ImageContents, number: int, blobs: BlobReader, *, check: bool = False) -> Iterator[tarfile.TarFile]:
    """Give a layer to be read once. With ``check`` what is left of it is read too, and all of it has to be what the image's config says."""
    layer, wanted = image.manifest.layers[number], image.config.contents[number]
    hasher = Digest("sha256", "").hasher()

    def hashed() -> Iterator[bytes]:
        for piece in unpacked(layer, blobs):
            hasher.update(piece)
            yield piece

    pieces = hashed() if check else unpacked(layer, blobs)
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", Pieces(pieces)), mode="r|", tarinfo=BoundedTarInfo) as tar:
            yield tar
        for _ in pieces if check else ():
            pass
    except (tarfile.TarError, RegistryError) as error:
        said = error.problem if isinstance(error, RegistryError) else str(error)
        raise ClusterImageInvalid(f"layer {number + 1} of {image.descriptor.digest} cannot be read: {said}", _REMEDY) from None
    if check and hasher.hexdigest() != wanted.encoded:
        raise ClusterImageInvalid(f"layer {number + 1} of {image.descriptor.digest} unpacks to sha256:{hasher.hexdigest()}, and its config says {wanted}", _REMEDY)
