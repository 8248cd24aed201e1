"""Images of FROM that ``--mirrors`` and ``--ca`` speak of: fetched as recordings fetch, and handed to docker.

Docker's engine has mirrors and authorities of its own and can be told neither for one pull, nor where a mirror keeps a registry below a
path. So we ask: same mirrors, same trust, same rule about whose login goes where, every byte verified; and docker loads what it
would have pulled, in the archive of ``docker save``, which every engine knows.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundler.cluster_images.layers import claim_layers
from bundler.engine import Engine, docker_errors
from bundler.errors import DockerError
from bundler.recordings import working_directory
from registry_snapshot.errors import RegistryError, StoreError
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.manifest import Manifest
from registry_snapshot.oci.media_types import DOCKER_CONFIG, OCI_CONFIG
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.recorder import Recorder
from registry_snapshot.store.base import BlobReader, ExtentReader
from registry_snapshot.store.bounded import MAX_CONFIG_BYTES, read_blob
from registry_snapshot.store.closure import children, read_manifest
from registry_snapshot.store.disk import DiskBlobStore

_PIECE: Final = 1 << 20
_BLOCK: Final = 512  # tar's


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where images of FROM come from besides docker's own ways."""

    engine: Engine
    cache: Path
    mirrors: Mirrors
    credentials: DockerCredentials

    def speaks_of(self, name: str) -> bool:
        """Tell whether the mirrors file or an option says anything about how this image's registry is asked. Raises RegistryError."""
        registry = Reference.parse(name).repository.registry
        return bool(self.mirrors.ca_files or self.mirrors.mirror_of(registry) or self.mirrors.proxy_of(registry))

    def give(self, name: str, platform: Platform, tag: str, output: Callable[[str], None]) -> str:
        """Fetch an image and let docker have it as ``tag``; return the digest that the registry has it under. Raises RegistryError, DockerError."""
        reference, blobs = Reference.parse(name), DiskBlobStore(self.cache / "store")
        with working_directory(self.cache) as directory, Recorder(directory, blobs, self.mirrors, self.credentials, (platform,)) as recorder:
            descriptor = recorder.add(reference, "FROM")
            recorder.finish()
        manifest = image_of(blobs, descriptor, platform, name)
        claim_layers(self.cache, blobs, [manifest])
        load(self.engine, docker_archive(blobs, manifest, tag), name, output)
        return str(descriptor.digest)

    def supply(self, name: str, say: Callable[[str], None]) -> bool:
        """Let docker have an image for its own platform, under its own name, that it would fetch by itself; tell whether that was done.

        Not if docker has it, if nothing is said of its registry, nor if it goes by a digest: docker can be told none. What cannot be had that
        way is said, and left to docker: it may have a way of its own. Raises StoreError.
        """
        try:
            reference = Reference.parse(name)
            if reference.digest is not None or not self.speaks_of(name) or self.engine.image(name) is not None:
                return False
            self.give(name, Platform.parse(self.engine.platform), str(reference), say)
        except StoreError:
            raise
        except (RegistryError, DockerError) as error:
            say(f"{name} cannot be had as --mirrors and --ca say, so docker may fetch it by itself: {error.problem}")
            return False
        say(f"{name}: fetched as --mirrors and --ca say")
        return True


def image_of(blobs: BlobReader, descriptor: Descriptor, platform: Platform, name: str) -> Manifest:
    """Return the manifest of the image for ``platform``. Raises RegistryError for what has none, and for what is no image."""
    found = read_manifest(blobs, descriptor)
    while not isinstance(found, Manifest):
        wanted = children(found, (platform,))
        if not wanted:
            raise RegistryError(f"{name} is an empty index", "check the image's name")
        found = read_manifest(blobs, wanted[0])
    if found.config.media_type not in {DOCKER_CONFIG, OCI_CONFIG}:
        raise RegistryError(f"{name} is no container image: its config is {found.config.media_type[:100]!r}", "check the image's name")
    return found


def docker_archive(blobs: BlobReader, manifest: Manifest, tag: str) -> Iterator[bytes]:
    """Yield the archive of one image, as ``docker load`` reads it, piece by piece. Raises BlobUnknown, StoreError.

    Layers stay compressed, as they are: Docker Image Specification v1.2, whose readers look at the first bytes.
    """
    config = f"{manifest.config.digest.encoded}.json"
    layers = [f"{layer.digest.encoded}.tar" for layer in manifest.layers]
    yield from _entry(config, read_blob(blobs, manifest.config.digest, MAX_CONFIG_BYTES))
    for layer in {layer.digest: layer for layer in manifest.layers}.values():
        yield _header(f"{layer.digest.encoded}.tar", layer.size)
        with ExtentReader(blobs.open(layer.digest)) as reader:
            while piece := reader.read(_PIECE):
                yield piece
        yield b"\0" * (-layer.size % _BLOCK)
    yield from _entry("manifest.json", json.dumps([{"Config": config, "RepoTags": [tag], "Layers": layers}]).encode())
    yield b"\0" * (2 * _BLOCK)


def load(engine: Engine, archive: Iterator[bytes], name: str, output: Callable[[str], None]) -> None:
    """Let docker load an archive. Raises DockerError with docker's word."""
    with docker_errors(f"docker cannot load {name}"):
        for event in engine.client.api.load_image(archive):  # type: ignore[no-untyped-call]
            if failed := event.get("error") or event.get("message"):
                hint = "see the engine's log; layers compressed with zstd need docker 23 or newer"
                raise DockerError(f"docker cannot load {name}: {str(failed).strip()}", hint)
            if "id" not in event and event.get("stream"):
                output(str(event["stream"]).strip())


def _entry(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data))
    yield data + b"\0" * (-len(data) % _BLOCK)


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf(tarfile.GNU_FORMAT)
