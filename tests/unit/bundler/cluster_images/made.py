"""Cluster images made by hand: layers of chosen entries, in any compression, and the archives that docker would write of them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence

import zstandard

from bundler.cluster_images.contents import manifest_of
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import descriptor_of
from registry_snapshot.oci.media_types import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from registry_snapshot.store.disk import DiskBlobStore

LABELS = {
    "internal.airseal.kubernetes": "v1.36.3",
    "internal.airseal.commands": json.dumps([{"argv": ["/bin/sh", "-ec", "kubectl apply -f manifests/"], "line": 3}]),
    "internal.airseal.images": json.dumps({"listed": [["images.txt:1", "quay.io/team/tool:1"]], "blocked": []}),
    "vendor": "shop",
}
Made = tuple[str, bytes | str, bytes, int]


def file(name: str, content: bytes | str = b"x", mode: int = 0o644) -> Made:
    return name, content, tarfile.REGTYPE, mode


def folder(name: str) -> Made:
    return name, b"", tarfile.DIRTYPE, 0o755


def soft(name: str, target: str) -> Made:
    return name, target, tarfile.SYMTYPE, 0o777


def hard(name: str, target: str, mode: int = 0o644) -> Made:
    return name, target, tarfile.LNKTYPE, mode


def layer(*entries: Made) -> bytes:
    """Return a layer's tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content, kind, mode in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, mode
            if kind in {tarfile.SYMTYPE, tarfile.LNKTYPE}:
                info.linkname = str(content)
                tar.addfile(info)
                continue
            data = content.encode() if isinstance(content, str) else content
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def config_of(layers: Sequence[bytes], labels: Mapping[str, str] = LABELS, architecture: str = "amd64") -> bytes:
    """Return an image's config, with a history of one line a layer and an empty one at the end."""
    history = [{"created_by": f"COPY step {number} # buildkit"} for number, _ in enumerate(layers, 1)]
    value = {
        "architecture": architecture,
        "os": "linux",
        "created": "2026-11-28T01:20:36Z",
        "config": {"Labels": dict(labels), "Env": ["PATH=/bin", "SHOP=open"]},
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(each)) for each in layers]},
        "history": [*history, {"created_by": "LABEL vendor=shop", "empty_layer": True}],
    }
    return json.dumps(value).encode()


def packed(data: bytes, compression: str) -> bytes:
    if compression == "zstd":
        return zstandard.ZstdCompressor().compress(data)
    return gzip.compress(data, 9, mtime=0) if compression == "gzip" else data


def put_image(
    blobs: DiskBlobStore,
    layers: Sequence[bytes],
    compression: str = "gzip",
    *,
    labels: Mapping[str, str] = LABELS,
    annotations: Mapping[str, str] | None = None,
    architecture: str = "amd64",
) -> Descriptor:
    """Put an image into blobs and return its manifest."""
    raw = config_of(layers, labels, architecture)
    config = Descriptor(OCI_CONFIG, blobs.put(raw), len(raw))
    parts = [packed(each, compression) for each in layers]
    kind = OCI_LAYER + (f"+{compression}" if compression else "")
    manifest = manifest_of(config, [Descriptor(kind, blobs.put(part), len(part)) for part in parts], annotations or {})
    blobs.put(manifest)
    return descriptor_of(manifest, OCI_MANIFEST)


def saved(layers: Sequence[bytes], tags: Sequence[str] = (), *, style: str = "old", labels: Mapping[str, str] = LABELS) -> bytes:
    """Return what ``docker save`` writes: ``old`` until 24 (the same layer twice as a link), ``new`` since 25 with layers as they are, ``gzip`` packed."""
    raw = config_of(layers, labels)
    entries: list[Made] = []
    names: list[str] = []
    for number, each in enumerate(layers):
        if style == "old":
            same = next((at for at, other in enumerate(layers[:number]) if other == each), None)
            entries += [folder(f"{number:064x}/"), file(f"{number:064x}/VERSION", "1.0"), file(f"{number:064x}/json", "{}")]
            entries.append(file(f"{number:064x}/layer.tar", each) if same is None else soft(f"{number:064x}/layer.tar", f"../{same:064x}/layer.tar"))
            names.append(f"{number:064x}/layer.tar")
        else:
            data = packed(each, "gzip" if style == "gzip" else "")
            entries.append(file(f"blobs/sha256/{Digest.of(data).encoded}", data))
            names.append(f"blobs/sha256/{Digest.of(data).encoded}")
    config = f"{Digest.of(raw).encoded}.json" if style == "old" else f"blobs/sha256/{Digest.of(raw).encoded}"
    entries += [file(config, raw), file("manifest.json", json.dumps([{"Config": config, "RepoTags": list(tags) or None, "Layers": names}]))]
    return layer(*entries)


def pieces(data: bytes, size: int = 5000) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
