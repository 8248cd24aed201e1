"""The whole build, read from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bundler.bases.build import BaseBuilder
from bundler.bases.download import Downloader
from bundler.bases.pins import given_pins
from bundler.cache.builds import remember_build
from bundler.capture import Settings, record
from bundler.cluster.conditions import check_conditions
from bundler.cluster.container import remove_orphans
from bundler.cluster.host_image import host_image
from bundler.cluster.ownership import LABEL, Owner
from bundler.coverage.inherit import carry, read_lists
from bundler.coverage.lists import Lists, balancer_image, lists_of
from bundler.coverage.remembered import remember
from bundler.coverage.report import Report, table
from bundler.engine import Engine, ImageInfo
from bundler.errors import BuildFailed
from bundler.file_store import FileStore
from bundler.files import ClusterFiles, collect
from bundler.image import Source, build_image, commands_of, read_source
from bundler.image_lock import all_blobs
from bundler.kubefile.dockerfile import KUBERNETES_LABEL, PINS_LABEL
from bundler.kubefile.from_images import Fetching, from_images
from bundler.kubefile.recipes import recipes_of
from bundler.kubefile.stages import SCRATCH
from bundler.kubefile.upstream import Upstream
from bundler.layer_sizes import is_layer, unpacked_size
from bundler.options import BuildOptions
from bundler.pack.artifact import seal
from bundler.pack.runtimes import stub_runtime
from bundler.pack.stub_runtime import StubRuntime
from bundler.pull_progress import PullProgress
from bundler.recordings import working_directory
from bundler.rehearsal.prove import prove
from bundler.steps.recorded import Recorded
from bundler.steps.recording import Inputs, Pins, recording
from bundler.values import given_document, values_of
from installer_stub.bundle import receipt as receipts
from installer_stub.bundle.cluster_files import EMPTY, cluster_manifest
from installer_stub.bundle.coverage import COVERAGE, encode_coverage
from installer_stub.bundle.documents import BundleDocument, encode_bundle, encode_lock
from installer_stub.bundle.model import BALANCER_LABEL, INTERNAL_REGISTRY, BundleInfo
from installer_stub.bundle.receipt import Receipt
from installer_stub.distro.paths import BUNDLED
from installer_stub.phases.base import Artifact, Reporter
from installer_stub.ui.transfer import duration, size
from installer_stub.version import VERSION
from registry_snapshot.oci.manifest import descriptor_of
from registry_snapshot.oci.media_types import OCI_MANIFEST
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.recorder import Recorder
from registry_snapshot.store.disk import DiskBlobStore

# What docker sets in every image; the installer has a PATH of its own.
_DOCKER_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OURS: Final = frozenset({PINS_LABEL, BALANCER_LABEL})


@dataclass(frozen=True, slots=True)
class Built:
    """What a build made: the figures of its closing lines. Sizes in bytes."""

    path: Path
    info: BundleInfo
    size: int
    images: int
    blobs: int
    seconds: float
    receipt: Receipt
    quiet: tuple[str, ...] = ()  # for how long nothing happened before the recording ended, and what was watched
    table: tuple[str, ...] = ()  # every image, its size and why it is there; what was seen and is not

    def lines(self) -> tuple[str, ...]:
        """Return the closing summary."""
        return (
            *self.table,
            f"sealed {self.info.title} into {self.path}: {size(self.size)} in {duration(self.seconds)}",
            f"  {self.images} images: {size(self.info.images_size)} as stored, {size(self.info.images_unpacked_size)} unpacked",
            f"  cluster files: {size(self.info.files_size)} on a host; blobs in all: {self.blobs}",
            *(f"  {line}" for line in self.quiet),
            f"  {self.receipt.line()}",
            *(f"  note: {note}" for note in self.receipt.notes),
            f"next: copy it to the site, then ./{self.path.name} --master ADDRESS --node ADDRESS",
        )


def build(options: BuildOptions, engine: Engine, reporter: Reporter) -> Built:
    """Build ``options.tag`` from its context into ``options.output``. Raises BuildError, RegistryError."""
    began = time.monotonic()
    cache, owner = options.cache, Owner.current()
    source = read_source(
        options.context, options.kubefile, options.build_args,
        platform=options.platforms[0], target=options.image.target, output=options.output,
    )  # fmt: skip
    mirrors = Mirrors.given(options.mirrors, options.mirror, options.ca)
    credentials = DockerCredentials.load(options.docker_config / "config.json" if options.docker_config else None)
    if removed := remove_orphans(engine, owner):
        reporter.step(f"removed {removed} things that a killed build had left in docker")

    image, base = cluster_image(options, source, Upstream(engine, cache, mirrors, credentials), reporter)
    blobs = DiskBlobStore(cache / "store")
    reporter.step("taking the cluster files out of the image")
    with engine.archive(image.id, "/cluster", {LABEL: str(owner)}) as archive:
        files = collect(archive, FileStore(blobs, cache / "compressed"), reporter)
    lists = Lists(balancer_image(image.labels)) + carry(engine, image, lists_of(files.files, blobs), base, tag=image_tag(options), title=options.title, platform=str(options.platforms[0]))
    stub = stub_runtime(cache, options.runtime, reporter)
    check_conditions(files.files, blobs)
    info = bundle_info(options, image, files, blobs)
    values = values_of(files.files, blobs, options.values)

    hosts = host_image(engine, reporter, options.host_image)

    def make(pins: Pins) -> Recorded:
        settings = Settings(
            hosts, options.platforms, options.settle_timeout, options.quiet_period, options.keep, options.strict, values,
            closed=not options.rehearsal.allow_internet, way=options.way,
        )  # fmt: skip
        artifact = Artifact(stub_size=stub.size, open_stub=stub.open, stub_digest=stub.digest)
        with (
            working_directory(cache) as directory,
            Recorder(directory, blobs, mirrors, credentials, options.platforms, progress=PullProgress(reporter), pins=pins) as recorder,
        ):
            return record(engine, owner, recorder, blobs, info=info, stub=artifact, lists=lists, settings=settings, reporter=reporter)

    found = recording(options, Inputs(info, lists, values, stub, hosts), blobs, make, reporter)
    return _finish(options, engine, owner, info, found, values=given_document(values), blobs=blobs, stub=stub, reporter=reporter, began=began)


def cluster_image(options: BuildOptions, source: Source, upstream: Upstream, reporter: Reporter) -> tuple[ImageInfo, Lists]:
    """Return the Kubefile's image, its bases built first where they are recipes, and what a base without a label lists."""
    engine, mirrors = upstream.engine, upstream.mirrors
    downloader = Downloader(options.cache / "downloads", reporter, rewrite=mirrors.rewrite, ca_files=mirrors.ca_files, destinations=mirrors.destinations)
    fetching = Fetching(engine, options.image, reporter, upstream)
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
        root = source.stages.chain[0]
        if root.base == SCRATCH or root.base in recipes:
            return image, Lists()
        return image, read_lists(engine, bases.get((root.base, root.platform), root.base), root.base, {LABEL: str(Owner.current())})


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
        environment=_environment(image.environment),
        labels={name: text for name, text in image.labels.items() if not name.startswith("internal.airseal.") or name in _OURS},
        images_size=0,
        images_unpacked_size=0,
        files_size=files.size,
        airseal=VERSION,
    )


def _finish(
    options: BuildOptions,
    engine: Engine,
    owner: Owner,
    info: BundleInfo,
    recorded: Recorded,
    *,
    values: bytes,
    blobs: DiskBlobStore,
    stub: StubRuntime,
    reporter: Reporter,
    began: float,
) -> Built:
    """Put everything into one file, rehearse it, and seal it again with the receipt. Return the figures."""
    report = Report(info.title, recorded.lock, recorded.coverage, recorded.first_seen)
    remember(options.cache, report)
    images = all_blobs([descriptor for _, descriptor in recorded.images], blobs, options.platforms)
    layers = [blob for blob in images.values() if is_layer(blob)]
    reporter.step(f"measuring {len(layers)} layers")
    info = replace(
        info,
        images_size=sum(blob.size for blob in images.values()),
        images_unpacked_size=unpacked_size(layers, blobs, options.cache / "unpacked", reporter),
    )
    digests = {**images, **all_blobs([info.cluster], blobs, options.platforms)}
    coverage = {COVERAGE: encode_coverage(recorded.coverage)}

    def write(target: Path, documents: Mapping[str, bytes]) -> None:
        seal(
            target,
            info=info,
            lock=recorded.lock,
            images=recorded.images,
            blobs=blobs,
            digests=sorted(digests),
            runtime=stub,
            reporter=reporter,
            documents={**coverage, **documents},
        )

    content = encode_bundle(BundleDocument(info, {}, dict.fromkeys(digests, 0))) + encode_lock(recorded.lock) + coverage[COVERAGE] + stub.digest.encode()
    receipt = prove(options, engine, owner, info=info, content=content, values=values, seal=write, reporter=reporter)
    write(options.output, {receipts.DOCUMENT: receipts.encode(receipt)})
    remember_build(options.cache, options.title, options.output, digests, time.time())
    size, seconds = options.output.stat().st_size, time.monotonic() - began
    return Built(options.output, info, size, len(recorded.images), len(digests), seconds, receipt, recorded.quiet, tuple(table(report)))


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environment.items() if (name, text) != ("PATH", _DOCKER_PATH)}

