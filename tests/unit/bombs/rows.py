"""Every reader of bytes from outside, fed a bomb: a program of its own, so that its memory can be bounded.

Prints what each row came to as one JSON object: the row's name → the name of the error, or ``fine``.
"""

from __future__ import annotations

import io
import json
import os
import resource
import struct
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import zstandard

from bundler import layer_sizes
from bundler import unpacked as unpacked_layers
from bundler.bases.extract import extract
from bundler.bases.pins import load_pins
from bundler.bases.recipe import Download, Member, find_recipe
from bundler.cluster_images.contents import ImageContents, contents_for
from bundler.cluster_images.flatten import cluster_tree
from bundler.cluster_images.load import load
from bundler.cluster_images.store import ClusterImages
from bundler.coverage.lists import lists_of
from bundler.file_store import FileStore
from bundler.files import collect
from bundler.image import read_source
from bundler.policy.judge import held_to
from bundler.policy.read import load as load_policy
from bundler.policy.simple_signing import MEDIA_TYPE
from bundler.policy.verifier import Verifier
from bundler.travel.artifacts import COVERAGE, LOCK, RECORDED, RECORDING, SEALABLE, read_recording
from installer_stub.bundle.model import FILE_ZSTD, ClusterFile, ImageLock, LockedImage
from installer_stub.bundle.names import BUNDLE, INDEX, OCI_LAYOUT, PACKAGE
from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.reasons import Attached
from installer_stub.bundle.zip_format import Entry, directory, place
from installer_stub.host.exchange import exchange
from installer_stub.hostside import fetch, sources
from installer_stub.hostside.service import LayoutDirectory
from installer_stub.values.schema import FILE as SCHEMA
from installer_stub.values.sealed import schema_of
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.recording import RecordingDirectory
from registry_snapshot.store.closure import closure, platforms_of, read_manifest
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.image_set import ImageSet
from tests.unit.bombs import upstream
from tests.unit.bundler.policy.signing import NAME, Shelf
from tests.unit.bundler.reporter import Remembering
from tests.unit.registry_snapshot.artifacts import make_artifact
from tests.unit.registry_snapshot.images import AMD64, make_image, put, put_json

HUGE: Final = 8 << 30  # bytes that files claim, and of which they hold none
ROOM: Final = 320 << 20  # bytes of memory that a row may take; a window of zstd has 128 MiB
ROWS: dict[str, Callable[[Path], object]] = {}


def row(work: Callable[[Path], object]) -> Callable[[Path], object]:
    ROWS[work.__name__] = work
    return work


def huge(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, HUGE)
    return path


def stored(root: Path, media_type: str) -> tuple[DiskBlobStore, Descriptor]:
    """A blob of HUGE bytes; nobody hashes it before it is read."""
    blobs, digest = DiskBlobStore(root), Digest.of(b"huge")
    huge(blobs.path(digest))
    return blobs, Descriptor(media_type, digest, HUGE)


def zeros_in_zstd(size: int) -> bytes:
    """A frame of ``size`` zeros in RLE blocks of 128 KiB, four bytes each (RFC 8878, 3.1.1.2)."""
    count, block = size >> 17, 128 * 1024
    frame = bytearray(b"\x28\xb5\x2f\xfd\x00\x38")
    for number in range(count):
        frame += struct.pack("<I", (number == count - 1) | (1 << 1) | (block << 3))[:3] + b"\0"
    return bytes(frame)


@row
def a_manifest(root: Path) -> object:
    return read_manifest(*stored(root, media_types.OCI_MANIFEST))


@row
def a_manifest_in_a_closure(root: Path) -> object:
    return closure(*stored(root, media_types.OCI_INDEX), (AMD64,))


@row
def a_manifest_in_a_store(root: Path) -> object:
    blobs, descriptor = stored(root, media_types.OCI_MANIFEST)
    return blobs.read(descriptor.digest)


@row
def a_manifest_among_images_to_serve(root: Path) -> object:
    blobs, descriptor = stored(root, media_types.OCI_MANIFEST)
    return ImageSet(blobs, [(upstream.REFERENCE, descriptor)])


@row
def a_config(root: Path) -> object:
    blobs, config = stored(root, media_types.OCI_CONFIG)
    value = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": config.to_json(), "layers": []}
    return platforms_of(blobs, put_json(blobs, media_types.OCI_MANIFEST, value), (AMD64,))


@row
def a_deep_manifest(root: Path) -> object:
    blobs = DiskBlobStore(root)
    raw = b"[" * (4 << 20)
    return read_manifest(blobs, Descriptor(media_types.OCI_MANIFEST, blobs.put(raw), len(raw)))


@row
def a_wide_manifest(root: Path) -> object:
    blobs = DiskBlobStore(root)
    raw = b"[" + b"{}," * ((4 << 20) // 3 - 2) + b"1]"
    return read_manifest(blobs, Descriptor(media_types.OCI_MANIFEST, blobs.put(raw), len(raw)))


@row
def an_index_of_a_layout(root: Path) -> object:
    huge(root / "index.json")
    return LayoutDirectory(root).roots


@row
def a_link_among_blobs(root: Path) -> object:
    blobs, digest = DiskBlobStore(root), Digest.of(b"link")
    blobs.path(digest).parent.mkdir(parents=True)
    blobs.path(digest).symlink_to("/dev/zero")
    return blobs.read(digest)


@row
def a_pipe_among_blobs(root: Path) -> object:
    blobs, digest = DiskBlobStore(root), Digest.of(b"pipe")
    blobs.path(digest).parent.mkdir(parents=True)
    os.mkfifo(blobs.path(digest))
    return blobs.read(digest)


@row
def a_file_of_mirrors(root: Path) -> object:
    return Mirrors.load(huge(root / "mirrors.yaml"))


@row
def a_device_as_file_of_mirrors(root: Path) -> object:
    del root
    return Mirrors.load(Path("/dev/zero"))


@row
def laughter_in_a_file_of_mirrors(root: Path) -> object:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (root / "mirrors.yaml").write_text("\n".join([*lines, "registries: *a11"]))
    return Mirrors.load(root / "mirrors.yaml")


@row
def dockers_logins(root: Path) -> object:
    return DockerCredentials.load(huge(root / "config.json"))


@row
def settings_of_a_recording(root: Path) -> object:
    huge(root / "recording.json")
    return RecordingDirectory.open(root)


@row
def a_kubefile(root: Path) -> object:
    huge(root / "Kubefile")
    return read_source(root)


@row
def what_docker_is_to_ignore(root: Path) -> object:
    (root / "Kubefile").write_text("FROM scratch\n")
    huge(root / ".dockerignore")
    return read_source(root)


@row
def laughter_in_a_recipe(root: Path) -> object:
    (root / "mine").mkdir()
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10 if n else ['x'] * 10)}]" for n in range(12)]
    (root / "mine" / "recipe.yaml").write_text("\n".join([*lines, "versions: {v1: {kubernetes: *a11}}", "downloads: []"]))
    return find_recipe("mine:v1", AMD64, root)


@row
def what_a_site_may_set(root: Path) -> object:
    blobs = DiskBlobStore(root)
    packer = zstandard.ZstdCompressor().compressobj(size=1 << 29)  # a frame that tells its size
    frame = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(512)), packer.flush()])
    blob = Descriptor(FILE_ZSTD, blobs.put(frame), len(frame))
    return schema_of([ClusterFile(SCHEMA, 0o644, 9, blob.digest, blob)], blobs)


@row
def pins(root: Path) -> object:
    return load_pins(huge(root / "v1.sha256"))


@row
def a_policy_of_signatures(root: Path) -> object:
    return load_policy(huge(root / "policy.yaml"))


@row
def a_deep_policy_of_signatures(root: Path) -> object:
    (path := root / "policy.yaml").write_bytes(b"[" * (1 << 17))
    return load_policy(path)


@row
def a_key_of_a_policy(root: Path) -> object:
    return Verifier.load(huge(root / "a.pub"), "a.pub")


@row
def a_payload_of_a_signature(root: Path) -> object:
    """It is listed with a hundred bytes."""
    blobs, blob = stored(root / "store", MEDIA_TYPE)
    shelf = Shelf(blobs, root)
    image = make_image(blobs, "a").descriptor
    signature = make_artifact(blobs, [Descriptor(MEDIA_TYPE, blob.digest, 100)])
    names = ((NAME + ":1", image, ()), (f"{NAME}:sha256-{image.digest.encoded}.sig", signature, (Attached("signature", "x"),)))
    lock = ImageLock(tuple(LockedImage(Reference.parse(name), found, (found.digest,), why) for name, found, why in names))
    return held_to(shelf.policy({"images": ["**"], "keys": ["k.pub"]}), lock, blobs)


@row
def a_list_of_images(root: Path) -> object:
    blobs, blob = stored(root, FILE_ZSTD)
    return lists_of([ClusterFile("images.txt", 0o644, HUGE, blob.digest, blob)], blobs)


@row
def a_list_of_images_in_zstd(root: Path) -> object:
    blobs = DiskBlobStore(root)
    raw = zeros_in_zstd(1 << 29)
    blob = Descriptor(FILE_ZSTD, blobs.put(raw), len(raw))
    return lists_of([ClusterFile("images.txt", 0o644, len(raw), blob.digest, blob)], blobs)


def layer(root: Path, kind: str, raw: bytes) -> int:
    blobs = DiskBlobStore(root)
    made = Descriptor(f"application/vnd.oci.image.layer.v1.tar+{kind}", blobs.put(raw), len(raw))
    return layer_sizes.unpacked_size([made], blobs, root / "figures", Remembering())


@row
def a_layer_in_zstd(root: Path) -> object:
    assert layer(root, "zstd", zeros_in_zstd(1 << 29)) == 1 << 29
    return None


@row
def a_layer_in_gzip(root: Path) -> object:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    raw = b"".join(packer.compress(bytes(1 << 20)) for _ in range(384)) + packer.flush()
    assert layer(root, "gzip", raw) == 384 << 20
    return None


@row
def a_layer_that_would_fill_every_host(root: Path) -> object:
    usual, unpacked_layers.ENOUGH = unpacked_layers.ENOUGH, 64 << 20  # type: ignore[misc]
    try:
        return layer(root, "zstd", zeros_in_zstd(1 << 29))
    finally:
        unpacked_layers.ENOUGH = usual  # type: ignore[misc]


def image_of_names(root: Path, names: Callable[[int], str], count: int) -> tuple[DiskBlobStore, ImageContents]:
    """An image of one layer, of so many empty files, that travels small."""
    packer, hasher = zstandard.ZstdCompressor(level=1).compressobj(), Digest("sha256", "").hasher()
    raw = bytearray()
    for number in range(count):
        header = tarfile.TarInfo(names(number)).tobuf(tarfile.GNU_FORMAT)
        hasher.update(header)
        raw += packer.compress(header)
    blobs = DiskBlobStore(root)
    made = Descriptor(f"{media_types.OCI_LAYER}+zstd", blobs.put(bytes(raw + packer.flush())), len(raw))
    config = put_json(blobs, media_types.OCI_CONFIG, {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [f"sha256:{hasher.hexdigest()}"]}})
    value = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": config.to_json(), "layers": [{**made.to_json(), "size": blobs.size(made.digest)}]}
    return blobs, contents_for(blobs, put_json(blobs, media_types.OCI_MANIFEST, value), "x")


@row
def deep_names_in_layers(root: Path) -> object:
    blobs, contents = image_of_names(root, lambda number: f"cluster/{number}/" + "d/" * 1900 + "x", 1000)
    return cluster_tree(contents, blobs)


@row
def names_elsewhere_in_layers(root: Path) -> object:
    blobs, contents = image_of_names(root, lambda number: f"usr/{number}/" + "d" * 4000, 40_000)
    return cluster_tree(contents, blobs)


@row
def a_document_in_a_file_of_images(root: Path) -> object:
    (root / "x").mkdir()
    entry = tarfile.TarInfo("manifest.json")
    entry.size = HUGE
    path = huge(root / "a.tar")
    with path.open("r+b") as file:
        file.write(entry.tobuf() + b"[")
        file.truncate(512 + HUGE + 1024)
    return load(ClusterImages(root / "x"), path, Remembering())


@row
def an_index_in_a_file_of_images(root: Path) -> object:
    (root / "x").mkdir()
    layout, entry = tarfile.TarInfo("oci-layout"), tarfile.TarInfo("index.json")
    entry.size = HUGE
    path = huge(root / "a.tar")
    with path.open("r+b") as file:
        file.write(layout.tobuf() + entry.tobuf() + b"{")
        file.truncate(1024 + HUGE + 1024)
    return load(ClusterImages(root / "x"), path, Remembering())


def recording_with(root: Path, document: Descriptor, blobs: DiskBlobStore) -> object:
    subject = Descriptor(media_types.OCI_MANIFEST, Digest.of(b"an image"), 8)
    layers = [Descriptor(kind, document.digest, document.size).to_json() for kind in (LOCK, COVERAGE, RECORDED, SEALABLE)]
    value = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "artifactType": RECORDING, "config": document.to_json(), "layers": layers, "subject": subject.to_json()}
    return read_recording(put_json(blobs, media_types.OCI_MANIFEST, value), subject.digest, blobs)


@row
def a_document_of_a_recording(root: Path) -> object:
    blobs = DiskBlobStore(root / "x")
    document = put(blobs, RECORDED, b"{}")
    blobs.path(document.digest).chmod(0o600)
    huge(blobs.path(document.digest))
    return recording_with(root, document, blobs)


@row
def a_deep_document_of_a_recording(root: Path) -> object:
    blobs = DiskBlobStore(root / "x")
    return recording_with(root, put(blobs, RECORDED, b"[" * (1 << 20)), blobs)


@row
def a_cluster_file_on_a_host(root: Path) -> object:
    del root
    largest = total = 0
    for piece in fetch._unpacked(iter([zeros_in_zstd(1 << 29)])):
        largest, total = max(largest, len(piece)), total + len(piece)
    assert (largest <= 1 << 20, total) == (True, 1 << 29)
    return None


@row
def a_manifest_for_a_host(root: Path) -> object:
    del root
    return sources._bounded(iter(lambda: bytes(1 << 20), b""), 4 << 20)


@row
def a_document_of_an_artifact(root: Path) -> object:
    entries = [Entry(OCI_LAYOUT, 30), Entry(INDEX, 10), Entry(BUNDLE, HUGE), Entry(PACKAGE, 10)]
    placed = place(entries, 100)
    with (root / "shop.run").open("wb") as file:
        file.seek(placed[-1].end)
        file.write(directory(placed, [0] * 4))
    return Bundle.open(root / "shop.run")


@row
def a_directory_of_an_artifact(root: Path) -> object:
    path = huge(root / "shop.run")
    with path.open("ab") as file:
        file.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, 0x7FFFFFFF, 16, 0))
    return Bundle.open(path)


def header(kind: bytes, size: int) -> bytes:
    entry = tarfile.TarInfo("cluster/x")
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.GNU_FORMAT)


def endless_archive(kind: bytes) -> Iterator[bytes]:
    yield header(kind, HUGE - 1)
    while True:
        yield bytes(1 << 20)


@row
def a_name_in_dockers_archive(root: Path) -> object:
    return collect(endless_archive(tarfile.GNUTYPE_LONGNAME), FileStore(DiskBlobStore(root), root / "zstd"), Remembering())


@row
def attributes_in_dockers_archive(root: Path) -> object:
    return collect(endless_archive(tarfile.XHDTYPE), FileStore(DiskBlobStore(root), root / "zstd"), Remembering())


def package(root: Path, name: str, size: int, data: bytes) -> object:
    (root / "x.deb").write_bytes(b"!<arch>\n" + f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{size:<10}`\n".encode() + data)
    download = Download("https://x/x.deb", (), "", "", "deb", (Member("bin/x", "x", 0o755),), "")
    return extract(download, root / "x.deb", root / "out")


@row
def a_debian_package(root: Path) -> object:
    return package(root, "data.tar", HUGE, b"")


@row
def a_debian_package_in_zstd(root: Path) -> object:
    raw = zeros_in_zstd(1 << 29)
    return package(root, "data.tar.zst", len(raw), raw)


class _Endless:
    """A command on a host that does not stop talking."""

    closed = False

    def recv(self, nbytes: int) -> bytes:
        return b"" if self.closed else bytes(nbytes)

    def recv_stderr(self, nbytes: int) -> bytes:
        del nbytes
        return b""

    def sendall(self, data: bytes) -> None:
        """Take it."""

    def shutdown_write(self) -> None:
        """Nothing more comes."""

    def recv_exit_status(self) -> int:
        return 0

    def close(self) -> None:
        self.closed = True


@row
def what_kubectl_says(root: Path) -> object:
    del root
    return exchange(_Endless(), lambda send: None)


for what in upstream.ANSWERS:
    ROWS[f"an upstream's {what}"] = lambda root, what=what: upstream.ask(root, what)  # type: ignore[misc]


def came_to(work: Callable[[Path], object]) -> str:
    with tempfile.TemporaryDirectory(dir=sys.argv[1]) as name:
        try:
            work(Path(name))
        except Exception as error:  # noqa: BLE001 - its name is the answer
            return type(error).__name__
    return "fine"


def main() -> None:
    here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (here + ROOM, here + ROOM))
    json.dump({name: came_to(work) for name, work in ROWS.items()}, io.TextIOWrapper(sys.stdout.buffer))


if __name__ == "__main__":
    main()
