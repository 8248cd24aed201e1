"""The images that the upstream offers to real clients: runnable, small, and the same bytes on every machine.

Their digests stand in the recorded traces. So nothing here may depend on a compiler, a clock or a version of zlib: the
programs are written down as machine code, and gzip only wraps ("stored" blocks).
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Iterator

from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.registry_snapshot.images import AMD64, ARM64, noise, put, put_json

PLATFORMS = (AMD64, ARM64)
HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
HELM_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
SANDBOX = "registry.k8s.io/pause:3.10.2"

_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_EPOCH = 1767225600
_STORED_BYTES = 65535

# A process that waits for ever. amd64: mov eax, 34 (pause); syscall; jmp. arm64: ppoll(0, 0, 0, 0, 0); b.
_CODE = {
    AMD64: (62, bytes.fromhex("b822000000 0f05 ebf7")),
    ARM64: (183, struct.pack("<8I", 0xAA1F03E0, 0xAA1F03E1, 0xAA1F03E2, 0xAA1F03E3, 0xAA1F03E4, 0xD2800928, 0xD4000001, 0x17FFFFF9)),
}


def publish(blobs: DiskBlobStore) -> dict[str, Descriptor]:
    """Put every image into ``blobs`` and return what each name stands for."""
    probe = _index(blobs, "probe", large=True)
    return {
        SANDBOX: _index(blobs, "pause"),
        "registry.k8s.io/tools/probe:v1": probe,
        "quay.io/tools/again:v2": probe,
        "quay.io/team/pinned:v1": _index(blobs, "pinned"),
        "quay.io/team/digested:v1": _index(blobs, "digested"),
        "quay.io/team/single:v1": _image(blobs, "single", AMD64),
        "docker.io/library/listed:v1": _index(blobs, "listed", docker=True),
        "docker.io/team/plain:v1": _image(blobs, "plain", AMD64, docker=True),
        "docker.io/team/fixed:v1": _index(blobs, "fixed", docker=True),
        "quay.io/team/app:v1": _index(blobs, "app of quay.io"),
        "ghcr.io/team/app:v1": _index(blobs, "app of ghcr.io"),
        "quay.io:5443/team/app:v1": _index(blobs, "app of quay.io:5443"),
        "quay.io/team/hollow:v1": _image(blobs, "hollow", AMD64, zero_bytes=True),
        "quay.io/charts/shop:1.0.0": _chart(blobs),
    }


def layout_entries(offers: dict[str, Descriptor]) -> list[tuple[Reference, Descriptor]]:
    """Return the images as an ImageSet and an OCI layout's index take them."""
    return [(Reference.parse(name), root) for name, root in offers.items()]


def parts(blobs: DiskBlobStore, root: Descriptor, platform: Platform) -> frozenset[Digest]:
    """Return the digests of all that a client of ``platform`` needs of an image, read from the JSON without our parsers."""
    return frozenset(_walk(blobs, root.digest, platform))


def child_of(blobs: DiskBlobStore, root: Descriptor, platform: Platform) -> Digest:
    """Return the digest of the manifest for ``platform``: of the image itself, if it is no index."""
    value = json.loads(blobs.read(root.digest))
    fits = (_digest(child) for child in value.get("manifests", ()) if _fits(child, platform))
    return next(fits, root.digest)


def _walk(blobs: DiskBlobStore, digest: Digest, platform: Platform) -> Iterator[Digest]:
    yield digest
    value = json.loads(blobs.read(digest))
    for child in value.get("manifests", ()):
        if _fits(child, platform):
            yield from _walk(blobs, _digest(child), platform)
    yield from (_digest(leaf) for leaf in (*([value["config"]] if "config" in value else []), *value.get("layers", ())))


def _fits(child: dict[str, dict[str, str]], platform: Platform) -> bool:
    return (child["platform"]["os"], child["platform"]["architecture"]) == (platform.os, platform.architecture)


def _digest(value: dict[str, object]) -> Digest:
    return Digest.parse(str(value["digest"]))


def _index(blobs: DiskBlobStore, name: str, *, docker: bool = False, large: bool = False) -> Descriptor:
    images = {platform: _image(blobs, name, platform, docker=docker, large=large) for platform in PLATFORMS}
    children = [{**image.to_json(), "platform": {"os": p.os, "architecture": p.architecture}} for p, image in images.items()]
    kind = media_types.DOCKER_LIST if docker else media_types.OCI_INDEX
    return put_json(blobs, kind, {"schemaVersion": 2, "mediaType": kind, "manifests": children})


def _image(
    blobs: DiskBlobStore,
    name: str,
    platform: Platform,
    *,
    docker: bool = False,
    large: bool = False,
    zero_bytes: bool = False,
) -> Descriptor:
    """Make an image of two layers, a program and some data; of three, if the last is to have no bytes at all."""
    tars = [
        _tar({"wait": _program(platform)}),
        _tar({f"data/{name}": noise(f"{name} {platform}", 300_000 if large else 2_000)}),
    ]
    kinds = (_DOCKER_LAYER, media_types.DOCKER_CONFIG, media_types.DOCKER_MANIFEST)
    layer_type, config_type, manifest_type = (
        kinds if docker else (media_types.OCI_LAYER_GZIP, media_types.OCI_CONFIG, media_types.OCI_MANIFEST)
    )
    layers = [put(blobs, layer_type, gzip_stored(tar)) for tar in tars]
    if zero_bytes:
        tars.append(b"")
        layers.append(put(blobs, media_types.OCI_LAYER, b""))
    config = {
        "created": "2026-01-01T00:00:00Z",
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {"Entrypoint": ["/wait"], "Labels": {"name": name}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in tars]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "tests/clients/images.py"} for _ in tars],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": put_json(blobs, config_type, config).to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return put_json(blobs, manifest_type, manifest)


def _chart(blobs: DiskBlobStore) -> Descriptor:
    about = {"name": "shop", "version": "1.0.0", "apiVersion": "v2", "description": "a chart for tests"}
    lines = "".join(f"{key}: {value}\n" for key, value in about.items())
    packed = _tar({"shop/Chart.yaml": lines.encode(), "shop/templates/nothing.yaml": b"# nothing\n"})
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": put_json(blobs, HELM_CONFIG, about).to_json(),
        "layers": [put(blobs, HELM_CHART, gzip_stored(packed)).to_json()],
    }
    return put_json(blobs, media_types.OCI_MANIFEST, manifest)


def _program(platform: Platform) -> bytes:
    """Return a static ELF64 executable of one segment. Source: elf(5)."""
    machine, code = _CODE[platform]
    size, base = 64 + 56 + len(code), 0x400000
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, base + 64 + 56, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000) + code


def _tar(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(data), 0o755, _EPOCH
            tar.addfile(member, io.BytesIO(data))
    return made.getvalue()


def gzip_stored(data: bytes) -> bytes:
    """Return ``data`` as gzip that does not compress. Source: RFC 1951, 3.2.4; RFC 1952."""
    pieces = [data[at : at + _STORED_BYTES] for at in range(0, len(data), _STORED_BYTES)] or [b""]
    blocks = b"".join(
        struct.pack("<BHH", piece is pieces[-1], len(piece), len(piece) ^ 0xFFFF) + piece for piece in pieces
    )
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + blocks + struct.pack("<II", zlib.crc32(data), len(data))
