"""What the verbs of cluster images share: the store that is meant, the platform, and whether a word is a file or a name."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundler.cluster_images.contents import ImageContents
    from bundler.cluster_images.store import ClusterImage, ClusterImages

NAME_HELP = "a cluster image of this machine's store: NAME:TAG, or REGISTRY/PATH:TAG"


def add_cache(parser: ArgumentParser) -> None:
    """Add ``--cache``."""
    parser.add_argument("--cache", type=Path, metavar="DIR", help="the cache that has the store (default $AIRSEAL_CACHE or ~/.cache/airseal)")


def add_platform(parser: ArgumentParser) -> None:
    """Add ``--platform``."""
    parser.add_argument("--platform", metavar="OS/ARCH", help="of a cluster image for several platforms, this one (default: the first)")


def images_of(arguments: Namespace) -> ClusterImages:
    """Return the store. Raises UsageError."""
    from bundler.cluster_images.store import ClusterImages
    from bundler.titles import cache_root

    return ClusterImages(cache_root(arguments.cache))


def contents_of(images: ClusterImages, image: ClusterImage, arguments: Namespace) -> ImageContents:
    """Return the image for the platform that is wanted. Raises ClusterImageIncomplete, ClusterImageInvalid, RegistryError."""
    from bundler.cluster_images.contents import contents_for
    from registry_snapshot.oci.descriptor import Platform

    images.parts(image)
    return contents_for(images.blobs, image.descriptor, image.name, Platform.parse(arguments.platform) if arguments.platform else None)


def is_file(text: str) -> bool:
    """Tell whether a word means a file: it is one, or is written as only a file can be. A directory of a project's name is none."""
    path = Path(text)
    return (path.exists() and not path.is_dir()) or text.startswith((".", "/", "~")) or text.endswith(".run")
