"""A small real artifact for tests, sealed by the product itself around a stub that is only bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

from bundler.image_lock import all_blobs
from bundler.pack.artifact import Sealed, Sign, seal
from bundler.pack.stub_runtime import StubRuntime
from installer_stub.bundle.cluster_files import EMPTY, cluster_manifest
from installer_stub.bundle.model import (
    FILE_PLAIN,
    FILE_ZSTD,
    BundleInfo,
    ClusterCommand,
    ClusterFile,
    ImageLock,
    LockedImage,
)
from installer_stub.bundle.reasons import Recorded
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.closure import closure, identities
from registry_snapshot.store.disk import DiskBlobStore

FILES = {
    "bin/kubeadm": (b"#!kubeadm\n" * 9000, 0o755),
    "bin/kubectl": (b"#!kubectl\n", 0o755),
    "cni/bridge": (b"bridge" * 100, 0o755),
    "manifests/shop.yaml": (b"kind: Deployment\n", 0o644),
    "etc/empty": (b"", 0o600),
}
IMAGES = {"docker.io/library/busybox:1.36": 50_000, "registry.k8s.io/pause:3.10": 1, "localhost:5000/a/b:v1": 4096}


class Silent:
    """A Reporter that remembers."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.bytes = 0
        self.total = 0

    def step(self, text: str) -> None:
        self.steps.append(text)

    def moved(self, what: str, count: int, total: int) -> None:
        del what
        self.bytes += count
        self.total = total


@dataclass
class Ingredients:
    """Everything that ``seal`` takes."""

    store: DiskBlobStore
    info: BundleInfo
    lock: ImageLock
    images: list[tuple[Reference, Descriptor]]
    files: tuple[ClusterFile, ...]
    runtime: StubRuntime
    reporter: Silent = field(default_factory=Silent)

    @property
    def digests(self) -> list[Digest]:
        return list(self.store.digests())

    def seal(self, target: Path, digests: Sequence[Digest] | None = None, documents: Mapping[str, bytes] | None = None) -> Path:
        return self.sealed(target, digests, documents).path

    def sealed(self, target: Path, digests: Sequence[Digest] | None = None, documents: Mapping[str, bytes] | None = None, sign: Sign | None = None, ready: Callable[[Sealed], None] | None = None) -> Sealed:
        return seal(
            target,
            info=self.info,
            lock=self.lock,
            blobs=self.store,
            digests=self.digests if digests is None else digests,
            runtime=self.runtime,
            reporter=self.reporter,
            documents=documents,
            sign=sign,
            ready=ready,
        )


def ingredients(
    root: Path,
    *,
    version: str = "1.4.0",
    images: Mapping[str, int] | None = None,
    files: Mapping[str, tuple[bytes, int]] | None = None,
    machine: str = "x86_64",
) -> Ingredients:
    """Fill a store below ``root``. ``images`` are references with the size of their layer; everything is reproducible."""
    platform = Platform.of_machine(machine)
    store = DiskBlobStore(root / f"store-{version}")
    wanted = IMAGES if images is None else images
    named = [(Reference.parse(name), add_image(store, name, size, platform.architecture)) for name, size in wanted.items()]
    listed = tuple(add_file(store, path, *content) for path, content in (FILES if files is None else files).items())
    store.put(EMPTY)
    manifest = cluster_manifest(listed)
    info = BundleInfo(
        name="shop",
        version=version,
        kubernetes="v1.36.3",
        platforms=(str(platform),),
        cluster=Descriptor(media_types.OCI_MANIFEST, store.put(manifest), len(manifest)),
        commands=(ClusterCommand(("/bin/sh", "-ec", "kubectl apply -f manifests"), 7), ClusterCommand(("helm", "list"))),
        environment={"B": "2", "A": "1"},
        labels={"vendor": "Müller & Söhne"},
        images_size=sum(blob.size for blob in all_blobs([descriptor for _, descriptor in named], store, (platform,)).values()),
        images_unpacked_size=2,
        files_size=sum(file.size for file in listed),
        airseal="0.1.0",
    )
    wholes = {name: closure(store, root, (platform,)) for name, root in named}
    locked = [
        LockedImage(name, root, identities(wholes[name]), (Recorded("Pod default/web", "web"),), sum(part.size for part in wholes[name]))
        for name, root in named
    ]
    lock = ImageLock(tuple(sorted(locked, key=lambda image: str(image.reference))))
    return Ingredients(store, info, lock, named, listed, fake_runtime(root, machine))


def add_image(store: DiskBlobStore, name: str, size: int, architecture: str = "amd64") -> Descriptor:
    """Store an image of one layer and return its manifest's descriptor."""
    layer = (name.encode() * (size // len(name) + 1))[:size]
    config = json.dumps({"os": "linux", "architecture": architecture, "name": name}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": Descriptor(media_types.OCI_CONFIG, store.put(config), len(config)).to_json(),
        "layers": [Descriptor(media_types.OCI_LAYER, store.put(layer), size).to_json()],
    }
    raw = json.dumps(manifest).encode()
    return Descriptor(media_types.OCI_MANIFEST, store.put(raw), len(raw))


def add_file(store: DiskBlobStore, path: str, content: bytes, mode: int) -> ClusterFile:
    """Store a cluster file: as zstd where that is smaller."""
    packed = zstandard.ZstdCompressor(level=3).compress(content)
    media_type, stored = (FILE_ZSTD, packed) if len(packed) < len(content) else (FILE_PLAIN, content)
    blob = Descriptor(media_type, store.put(stored), len(stored))
    return ClusterFile(path, mode, len(content), Digest.of(content), blob)


def fake_runtime(root: Path, machine: str = "x86_64") -> StubRuntime:
    """A stub that has the shape of one: an ELF magic at one end, PyInstaller's cookie at the other."""
    bootloader, package = root / "bootloader", root / "stub.pkg"
    bootloader.write_bytes(b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + struct.pack("<H", {"x86_64": 62, "aarch64": 183}[machine]) + bytes(range(256)) * 31)
    package.write_bytes(b"package" * 5000 + b"MEI\x0c\x0b\x0a\x0b\x0e".ljust(88, b"\0"))
    return StubRuntime.of(bootloader, package, glibc="2.17", kernel="3.10")
