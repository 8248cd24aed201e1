"""The whole build, read from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from bundler.bases.build import BaseBuilder
from bundler.bases.download import Downloader
from bundler.bases.pins import given_pins
from bundler.cache.made import MadeImage, remember_image
from bundler.capture import Settings, record
from bundler.cluster.conditions import check_conditions
from bundler.cluster.container import remove_orphans
from bundler.cluster.host_image import host_image
from bundler.cluster.ownership import LABEL, Owner
from bundler.cluster_images.bases import origins_of
from bundler.cluster_images.contents import Origin
from bundler.cluster_images.from_docker import import_image
from bundler.cluster_images.names import full_name
from bundler.cluster_images.store import ClusterImages
from bundler.cluster_images.taken_over import environment_of, labels_of
from bundler.coverage.inherit import carry, read_lists
from bundler.coverage.lists import Lists, balancer_image, lists_of
from bundler.coverage.remembered import remember
from bundler.coverage.report import Report, table
from bundler.engine import Engine, ImageInfo
from bundler.errors import BuildFailed
from bundler.file_store import FileStore
from bundler.files import ClusterFiles, collect
from bundler.image import Source, build_image, commands_of, read_source
from bundler.kubefile.dockerfile import KUBERNETES_LABEL
from bundler.kubefile.from_images import Fetching, from_images
from bundler.kubefile.recipes import recipes_of
from bundler.kubefile.stages import SCRATCH
from bundler.kubefile.upstream import Upstream
from bundler.options import BuildOptions
from bundler.pack.artifact import require_machine
from bundler.pack.stubs import stub_for
from bundler.pull_progress import PullProgress
from bundler.recordings import working_directory
from bundler.rehearsal.prove import prove
from bundler.steps.locked import held_names
from bundler.steps.numbered import Numbered
from bundler.steps.recorded import Recorded
from bundler.steps.recording import Inputs, Pins, recording
from bundler.steps.sealing import Built, measured, seal_whole
from bundler.values import values_of
from installer_stub.bundle.cluster_files import EMPTY, cluster_manifest
from installer_stub.bundle.model import BundleInfo
from installer_stub.bundle.names import INTERNAL_REGISTRY
from installer_stub.distro.paths import BUNDLED
from installer_stub.phases.base import Artifact
from installer_stub.phases.reporter import Reporter
from installer_stub.version import VERSION
from registry_snapshot.oci.manifest import descriptor_of
from registry_snapshot.oci.media_types import OCI_MANIFEST
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.recorder import Recorder
from registry_snapshot.store.disk import DiskBlobStore

IMAGE: Final = "Build the cluster image"
FILES: Final = "Take the cluster files out of it"
PROGRAMS: Final = "Make ready the installer and the hosts' image"
RECORD: Final = "Record what the cluster uses"
MEASURE: Final = "Measure the images"
REHEARSE: Final = "Rehearse the finished file"
SEAL: Final = "Seal the file"
STEPS: Final = (IMAGE, FILES, PROGRAMS, RECORD, MEASURE, REHEARSE, SEAL)


def build(options: BuildOptions, engine: Engine, reporter: Reporter) -> Built:
    """Build ``options.tag`` from its context into ``options.output``. Raises BuildError, RegistryError."""
    cache, owner = options.cache, Owner.current()
    source = read_source(
        options.context, options.kubefile, options.build_args,
        platform=options.platforms[0], target=options.image.target, output=options.output,
    )  # fmt: skip
    mirrors = Mirrors.given(options.mirrors, options.mirror, options.ca)
    credentials = DockerCredentials.load(options.docker_config / "config.json" if options.docker_config else None)
    if removed := remove_orphans(engine, owner):
        reporter.step(f"removed {removed} things that a killed build had left in docker")

    stub = stub_for(map(str, options.platforms), cache, options.stub)  # first: without one nothing here leads anywhere
    numbered = Numbered(reporter, [title for title in STEPS if title != REHEARSE or not options.rehearsal.skip])
    upstream = Upstream(engine, cache, mirrors, credentials)
    with numbered.step(IMAGE):
        made = cluster_image(options, source, upstream, reporter)
        image, base = made.image, made.lists
    blobs = DiskBlobStore(cache / "store")
    with numbered.step(FILES):
        with engine.archive(image.id, "/cluster", {LABEL: str(owner)}) as archive:
            files = collect(archive, FileStore(blobs, cache / "compressed"), reporter)
        lists = Lists(balancer_image(image.labels)) + carry(engine, image, lists_of(files.files, blobs), base, tag=image_tag(options), title=options.title, platform=str(options.platforms[0]))
        keep_made(engine, options, made.origins, reporter)
        check_conditions(files.files, blobs)
        info = bundle_info(options, image, files, blobs)
        values = values_of(files.files, blobs, options.values)
    with numbered.step(PROGRAMS):
        require_machine(stub, options.title, map(str, options.platforms))
        hosts = host_image(engine, reporter, options.host_image, partial(upstream.supply, say=reporter.step))

    inputs = Inputs(info, lists, values, stub, hosts)
    with numbered.step(RECORD):
        make = _making(options, owner, inputs, upstream, blobs=blobs, reporter=reporter)
        found = recording(options, inputs, blobs, make, reporter)
    report = Report(info.title, found.lock, found.coverage, found.first_seen)
    remember(cache, report)
    with numbered.step(MEASURE):
        whole = measured(info, found, stub, cache, reporter)

    write = partial(whole.write, reporter=reporter)
    with nullcontext() if options.rehearsal.skip else numbered.step(REHEARSE):
        receipt = prove(options, engine, owner, image=hosts, info=whole.info, content=whole.content, values=values, seal=write, reporter=reporter)
    with numbered.step(SEAL):
        built = seal_whole(whole, receipt, options.output, cache=cache, steps=inputs.steps(options), signing=options.signing, reporter=reporter)
    return replace(built, table=tuple(table(report)))


@dataclass(frozen=True, slots=True)
class Image:
    """The Kubefile's image. ``lists`` are those of a base without a label, ``origins`` say which image its base's layers came from."""

    image: ImageInfo
    lists: Lists
    origins: tuple[Origin, ...]


def _making(options: BuildOptions, owner: Owner, inputs: Inputs, upstream: Upstream, *, blobs: DiskBlobStore, reporter: Reporter) -> Callable[[Pins], Recorded]:
    """Return what records; it is given what tags have to mean."""
    stub = inputs.stub

    def make(pins: Pins) -> Recorded:
        settings = Settings(
            inputs.host_image, options.platforms, options.settle_timeout, options.quiet_period, options.keep, options.strict, inputs.values,
            closed=not options.rehearsal.allow_internet, topology=options.recorded_on, way=options.way,
            attached=options.attached.taken, only=held_names(options.steps.locked),
        )  # fmt: skip
        artifact = Artifact(stub_size=stub.size, open_stub=stub.open, stub_digest=stub.digest)
        with (
            working_directory(options.cache) as directory,
            Recorder(directory, blobs, upstream.mirrors, upstream.credentials, options.platforms, progress=PullProgress(reporter), pins=pins) as recorder,
        ):
            return record(upstream.engine, owner, recorder, blobs, info=inputs.info, stub=artifact, lists=inputs.lists, settings=settings, reporter=reporter)

    return make


def cluster_image(options: BuildOptions, source: Source, upstream: Upstream, reporter: Reporter) -> Image:
    """Return the Kubefile's image, its bases built first where they are recipes."""
    engine, mirrors = upstream.engine, upstream.mirrors
    downloader = Downloader(options.cache / "downloads", reporter, rewrite=mirrors.rewrite, ca_files=mirrors.ca_files, destinations=mirrors.destinations)
    fetching = Fetching(engine, options.image, reporter, upstream, ClusterImages(options.cache))
    builder = BaseBuilder(engine, downloader, options.cache, reporter, given_pins(options.pins), accept=options.accept_checksums, fetching=fetching)
    platform = options.platforms[0]
    recipes = recipes_of(source.stages, platform, source.file.parent / "bases")
    with from_images(fetching, source.stages, recipes, platform) as images:
        bases = dict(images)
        for named in source.stages.images():
            if recipe := recipes.get(named.image):
                reporter.step(f"base {recipe.title}")
                bases[named.image, named.platform] = builder.tag(recipe)
        reporter.step(f"building the cluster image from {source.file}")
        image = build_image(engine, source, tag=image_tag(options), bases=bases, platform=str(platform), reporter=reporter, options=options.image)
        remember_made(engine, options)
        root = source.stages.chain[0]
        if root.base == SCRATCH:
            return Image(image, Lists(), ())
        name = bases.get((root.base, root.platform), root.base)
        origins = origins_of(ClusterImages(options.cache), root.base, engine.image(name))
        lists = Lists() if root.base in recipes else read_lists(engine, name, root.base, {LABEL: str(Owner.current())})
        return Image(image, lists, origins)


def remember_made(engine: Engine, options: BuildOptions) -> ImageInfo | None:
    """Write down which image docker has made for this build, so that a later one takes it away, and return it."""
    if (image := engine.image(image_tag(options))) is not None:
        remember_image(options.cache, MadeImage(image.id, options.title, time.time()))
    return image


def keep_made(engine: Engine, options: BuildOptions, origins: tuple[Origin, ...], reporter: Reporter) -> None:
    """Put the image that docker has made into the store of cluster images, under the build's title. The same image costs nothing again."""
    if (image := remember_made(engine, options)) is None:
        raise BuildFailed(f"docker has no {image_tag(options)} any more, which it has just built", "build again, and prune docker's images at another time")
    images = ClusterImages(options.cache)
    descriptor = import_image(engine, images, image, (*origins, Origin(options.title, len(image.layers))), reporter)
    images.put(full_name(options.title), descriptor, built=True, docker=image.id)
    reporter.step(f"cluster image {options.title} is {descriptor.digest} (airseal images)")


def image_tag(options: BuildOptions) -> str:
    """Return what docker calls the cluster image."""
    return f"{INTERNAL_REGISTRY}/image/{options.name}:{options.version}"


def bundle_info(options: BuildOptions, image: ImageInfo, files: ClusterFiles, blobs: DiskBlobStore) -> BundleInfo:
    """Return what is known of the bundle before anything ran; the images' sizes are still zero."""
    kubernetes = image.labels.get(KUBERNETES_LABEL, "")
    if not kubernetes or not any(file.path == BUNDLED for file in files.files):
        raise BuildFailed("the image has no Kubernetes in it", "begin the Kubefile with a base: FROM kubernetes:v1.36.3 (airseal base list)")
    manifest = cluster_manifest(files.files)
    blobs.put(EMPTY)
    blobs.put(manifest)
    return BundleInfo(
        name=options.name,
        version=options.version,
        kubernetes=kubernetes,
        platforms=tuple(map(str, options.platforms)),
        cluster=descriptor_of(manifest, OCI_MANIFEST),
        commands=commands_of(image),
        environment=environment_of(image.environment),
        labels=labels_of(image.labels),
        images_size=0,
        images_unpacked_size=0,
        files_size=files.size,
        airseal=VERSION,
    )

