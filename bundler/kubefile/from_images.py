"""What FROM and --from name: every image is resolved, and under a name of this build in docker, before anything is built.

So the image whose config was read is the one that the builder begins with, whatever moves its tag meanwhile, and its CMDs are
known although docker had never heard of it. The store of cluster images has it, docker fetches it, or we do where ``--mirrors`` or
``--ca`` say how (``upstream``).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bundler.cluster_images.bases import Base, base_of, give
from bundler.cluster_images.store import ClusterImages
from bundler.engine import Engine, ImageInfo
from bundler.errors import DockerError
from bundler.kubefile.dockerfile import Bases
from bundler.kubefile.stages import Named, Stages
from bundler.kubefile.upstream import Upstream
from bundler.options import ImageOptions
from installer_stub.bundle.names import INTERNAL_REGISTRY
from installer_stub.phases.reporter import Reporter
from installer_stub.ui.output import pass_on
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class Fetching:
    """How images of FROM come: from the store of cluster ``images``, through docker, and by ``upstream`` where the build's mirrors and authorities speak of them."""

    engine: Engine
    options: ImageOptions
    reporter: Reporter
    upstream: Upstream | None = None
    images: ClusterImages | None = None


@contextmanager
def from_images(fetching: Fetching, stages: Stages, recipes: Collection[str], platform: Platform) -> Iterator[Bases]:
    """Give the name under which docker has each image that the Kubefile names, as long as the block runs.

    ``recipes`` are names that mean no image of a registry. One that the store of cluster images has is the store's
    (``bundler.cluster_images.bases``). One that docker has for the platform is taken as it is, unless ``options.pull``; every other is
    fetched. Raises KubefileError with the line that names it.
    """
    names: dict[tuple[str, str], str] = {}
    mine: set[str] = set()
    if fetching.upstream is not None and (frontend := stages.kubefile.syntax.partition(" ")[0]):
        # An image too, and BuildKit takes what the engine has before it asks a registry.
        fetching.upstream.supply(frontend, fetching.reporter.step)
    try:
        for named in stages.images():
            if named.image not in recipes:
                found = _resolved(fetching, stages, named, platform, mine)
                name = _name(found.id)
                fetching.engine.tag(found.id, name)
                mine.add(name)
                names[named.image, named.platform] = name
        yield names
    finally:
        for name in mine:
            fetching.engine.untag(name)


def _name(digest: str) -> str:
    """Return a name of this build alone: another one that ends earlier must not take it away."""
    return f"{INTERNAL_REGISTRY}/from:{digest.rpartition(':')[2][:12]}-{os.getpid()}"


def digest_of(image: ImageInfo, name: str) -> str:
    """Return the digest under which the registry in ``name`` has the image, or docker's own ID where none has it."""
    try:
        repository = Reference.parse(name).repository
        known = (Reference.parse(each) for each in image.digests)
        return next((str(each.digest) for each in known if each.repository == repository), image.id)
    except RegistryError:
        return image.id


def _resolved(fetching: Fetching, stages: Stages, named: Named, platform: Platform, mine: set[str]) -> ImageInfo:
    try:
        wanted = Platform.parse(named.platform) if named.platform else platform
        if fetching.images is not None and (base := base_of(fetching.images, named.image, wanted, pull=fetching.options.pull)) is not None:
            return _kept(fetching, fetching.images, named, base, mine)
        found = None if fetching.options.pull else fetching.engine.image(named.image)
        if found is not None and Platform.parse(found.platform).satisfies(Platform(wanted.os, wanted.architecture)):
            digest, how = digest_of(found, named.image), "in docker already"
        else:
            found, digest, how = _fetched(fetching, named.image, wanted, mine)
    except (DockerError, RegistryError) as error:
        raise stages.kubefile.error(named.line, error.problem, error.remedy) from None
    if found is None:
        raise stages.kubefile.error(named.line, f"{named.image}: docker was given it and does not have it", "see the engine's log")
    fetching.reporter.step(f"FROM {named.image} is {digest} ({how})")
    return found


def _kept(fetching: Fetching, images: ClusterImages, named: Named, base: Base, mine: set[str]) -> ImageInfo:
    """Return what docker has now of an image of the store. Raises DockerError, StoreError."""
    tag = _name(str(base.contents.descriptor.digest))
    found, loaded = give(fetching.engine, images, base, tag, lambda line: pass_on(fetching.reporter, "docker", line))
    mine.update([tag] if loaded else [])
    if found is None:
        raise DockerError(f"{named.image}: docker was given it and does not have it", "see the engine's log")
    fetching.reporter.step(f"FROM {named.image} is {base.contents.descriptor.digest} ({base.told})")
    return found


def _fetched(fetching: Fetching, image: str, platform: Platform, mine: set[str]) -> tuple[ImageInfo | None, str, str]:
    """Return what docker has now, its digest, and how it came; what it is called for this build alone goes to ``mine``. Raises DockerError, RegistryError."""
    engine, upstream = fetching.engine, fetching.upstream

    def output(line: str) -> None:
        pass_on(fetching.reporter, "docker", line)

    if upstream is None or not upstream.speaks_of(image):
        fetching.reporter.step(f"FROM {image}: docker fetches it for {platform}")
        engine.pull(image, str(platform), output, fetching.options.docker_config)
        found = engine.image(image)
        return found, digest_of(found, image) if found else "", "fetched"
    fetching.reporter.step(f"FROM {image}: fetching it for {platform} as --mirrors and --ca say")
    reference = Reference.parse(image)
    # Under its own name where it has one, so that the next build finds it; a digest is no name that docker could be told.
    tag = str(reference) if reference.digest is None else _name(str(reference.digest))
    mine.update([] if reference.digest is None else [tag])
    digest = upstream.give(image, platform, tag, output)
    return engine.image(tag), digest, "fetched"
