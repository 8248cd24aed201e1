"""What FROM and --from name: every image is resolved, and under a name of this build in docker, before anything is built.

So the image whose config was read is the one that the builder begins with, whatever moves its tag meanwhile, and its CMDs are
known although docker had never heard of it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from bundler.engine import Engine, ImageInfo
from bundler.errors import DockerError
from bundler.kubefile.dockerfile import Bases
from bundler.kubefile.stages import Named, Stages
from bundler.options import ImageOptions
from installer_stub.bundle.model import INTERNAL_REGISTRY
from installer_stub.phases.base import Reporter
from installer_stub.ui.output import pass_on
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.oci.reference import Reference


@contextmanager
def from_images(
    engine: Engine, stages: Stages, recipes: Collection[str], *, platform: Platform, options: ImageOptions, reporter: Reporter
) -> Iterator[Bases]:
    """Give the name under which docker has each image that the Kubefile names, as long as the block runs.

    ``recipes`` are names that mean no image of a registry. One that docker has for the platform is taken as it is, unless
    ``options.pull``; every other is fetched by the engine. Raises KubefileError with the line that names it.
    """
    names: dict[tuple[str, str], str] = {}
    try:
        for named in stages.images():
            if named.image not in recipes:
                found = _resolved(engine, stages, named, platform=platform, options=options, reporter=reporter)
                # Of this build alone: another one that ends earlier must not take it away.
                name = f"{INTERNAL_REGISTRY}/from:{found.id.rpartition(':')[2][:12]}-{os.getpid()}"
                engine.tag(found.id, name)
                names[named.image, named.platform] = name
        yield names
    finally:
        for name in set(names.values()):
            engine.untag(name)


def digest_of(image: ImageInfo, name: str) -> str:
    """Return the digest under which the registry in ``name`` has the image, or docker's own ID where none has it."""
    try:
        repository = Reference.parse(name).repository
        known = (Reference.parse(each) for each in image.digests)
        return next((str(each.digest) for each in known if each.repository == repository), image.id)
    except RegistryError:
        return image.id


def _resolved(
    engine: Engine, stages: Stages, named: Named, *, platform: Platform, options: ImageOptions, reporter: Reporter
) -> ImageInfo:
    try:
        wanted = Platform.parse(named.platform) if named.platform else platform
        found = None if options.pull else engine.image(named.image)
        how = "in docker already"
        if found is None or not Platform.parse(found.platform).satisfies(Platform(wanted.os, wanted.architecture)):
            reporter.step(f"FROM {named.image}: docker fetches it for {wanted}")
            engine.pull(named.image, str(wanted), lambda line: pass_on(reporter, "docker", line), options.docker_config)
            found, how = engine.image(named.image), "fetched"
    except (DockerError, RegistryError) as error:
        raise stages.kubefile.error(named.line, error.problem, error.remedy) from None
    if found is None:
        raise stages.kubefile.error(named.line, f"{named.image}: docker fetched it and does not have it", "see the engine's log")
    reporter.step(f"FROM {named.image} is {digest_of(found, named.image)} ({how})")
    return found
