"""Images of the store as what others are built on: FROM them on a machine whose docker has never seen them, and which layers are whose.

The rule: a name that the store has is the store's, and nobody else is asked; the build says its digest and how to renew it. ``--pull`` asks
the registry for a registry's name all the same. A name that the store does not have is docker's and the registry's business, as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bundler.cluster_images.contents import ImageContents, Origin, contents_for
from bundler.cluster_images.from_docker import imported
from bundler.cluster_images.names import full_name
from bundler.cluster_images.store import ClusterImage, ClusterImages
from bundler.engine import Engine, ImageInfo
from bundler.errors import ClusterImageError, UsageError
from bundler.kubefile.upstream import docker_archive, load
from installer_stub.bundle.names import INTERNAL_REGISTRY
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class Base:
    """An image of the store for one platform, that a Kubefile names."""

    image: ClusterImage
    contents: ImageContents

    @property
    def told(self) -> str:
        """How it came, and how it is renewed."""
        ours = self.image.reference.repository.registry == INTERNAL_REGISTRY
        return f"a cluster image of this machine's store; {'build or load it' if ours else f'airseal pull {self.image.name}'} to renew it"


def base_of(images: ClusterImages, name: str, platform: Platform, *, pull: bool = False) -> Base | None:
    """Return the image that a Kubefile means by ``name`` if the store has it for the platform, None if it has not.

    With ``pull`` only names that no registry has. Raises ClusterImageIncomplete for one that is not whole any more: somebody else's image of
    that name might be another one. StoreError.
    """
    try:
        names = dict.fromkeys([full_name(name), Reference.parse(name)])
    except (UsageError, RegistryError):
        return None
    for reference in names:
        asked = pull and reference.repository.registry != INTERNAL_REGISTRY
        if not asked and (image := images.known(reference)) is not None:
            images.parts(image)
            try:
                return Base(image, contents_for(images.blobs, image.descriptor, image.name, platform))
            except ClusterImageError:  # for other platforms
                return None
    return None


def give(engine: Engine, images: ClusterImages, base: Base, tag: str, output: Callable[[str], None]) -> tuple[ImageInfo | None, bool]:
    """Let docker have an image of the store; return what it has, and whether it was given it as ``tag``. Raises DockerError, StoreError."""
    manifest = base.contents.manifest
    for identity in (str(manifest.config.digest), *base.image.docker):
        if (found := engine.image(identity)) is not None:
            return found, False
    load(engine, docker_archive(images.blobs, manifest, tag), base.image.name, output)
    if (given := engine.image(tag)) is not None:
        images.is_in_docker(base.image, given.id)
    return given, True


def origins_of(images: ClusterImages, name: str, base: ImageInfo | None) -> tuple[Origin, ...]:
    """Return which image which layers of ``base`` came from; ``name`` is what the Kubefile calls it. Nothing without a base."""
    if base is None or not base.layers:
        return ()
    found: tuple[Origin, ...] = ()
    if (descriptor := imported(images, base.id)) is not None:
        found = contents_for(images.blobs, descriptor, name).origins
    return found if found and found[-1].layers == len(base.layers) else (*found, Origin(name, len(base.layers)))
