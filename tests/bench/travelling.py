"""``push``, ``pull``: cluster images to and from a registry, against crane, on the same images and the same real registry."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bundler.cluster_images.names import full_name
from bundler.cluster_images.store import ClusterImages
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.store.closure import closure
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.layout_index import OCI_LAYOUT
from tests.bench.bench import ROOT, Bench, alternate, seconds
from tests.bench.measure import MB, Measure
from tests.conformance.distribution import DistributionRegistry
from tests.testbed.parts import Parts

_LEAST = 5
_MAX_RATIO = 1.1
_BASE = (150_000_000, 80_000_000, 40_000_000, 1_000_000, 200_000)  # bytes of layers, about those of a base with its Kubernetes
_OWN = (20_000_000, 30_000)  # and of an application on it
_PIECE = 1 << 20
NAMES = ("push", "push-again", "push-on-base", "push-on-base-bytes", "pull", "pull-on-disk")


def travelling(bench: Bench) -> list[Measure]:
    """Measure pushes of a base, of the same again, and of an application on it, and a pull; both clients are programs that are started."""
    work = bench.work / "travel"
    shutil.rmtree(work, ignore_errors=True)
    parts = Parts(bench.cache)
    parts.build_all(only=("registry", "crane"))
    try:
        with DistributionRegistry(parts.out("registry") / "registry", work / "registry") as registry:
            return _Sides(work, registry, parts.out("crane") / "crane", bench.repetitions(_LEAST)).measures()
    finally:
        shutil.rmtree(work, ignore_errors=True)


class _Sides:
    """Both clients, each with the images as it takes them: a store, and one OCI layout an image."""

    def __init__(self, work: Path, registry: DistributionRegistry, crane: Path, count: int) -> None:
        self._work = work
        self._registry = registry
        self._crane = crane
        self._count = count
        self._turn = 0
        self._images = ClusterImages(work / "cache")
        base = _layers(self._images.blobs, "base", _BASE)
        self._sizes = {"base": self._made("base", base), "app": self._made("app", base + _layers(self._images.blobs, "app", _OWN))}

    def measures(self) -> list[Measure]:
        """Return all of them, in the order of the file."""
        whole = f"{self._sizes['base'] / MB:.0f} MB in {len(_BASE)} layers"
        notes = ("both push to the real distribution registry on this machine, plain HTTP; bytes that no compression shrinks; starting the program is in it",)
        pushes = alternate(self._count, lambda: self._ours("base", self._fresh()), lambda: self._theirs("base", self._fresh()))
        self._ours("base", "kept/ours")
        self._theirs("base", "kept/theirs")
        again = alternate(self._count, lambda: self._ours("base", "kept/ours"), lambda: self._theirs("base", "kept/theirs"))
        on_base = alternate(self._count, lambda: self._on_base(self._ours), lambda: self._on_base(self._theirs))
        travelled = tuple((float(self._bytes(side)),) for side in (self._ours, self._theirs))
        self._ours("base", "pulled/it")
        pulls = alternate(self._count, self._our_pull, self._their_pull)
        on_disk = alternate(self._count, self._our_pull, self._their_pull_and_sync)
        return [
            Measure("push", f"`airseal push`: {whole}, to a repository that has nothing", "`crane push` of the same image from an OCI layout", "s", *pushes, max_ratio=_MAX_RATIO, notes=notes),
            Measure("push-again", "`airseal push` of what is there already", "`crane push` of the same", "s", *again, notes=notes),
            Measure("push-on-base", f"`airseal push` of an application ({sum(_OWN) / MB:.0f} MB of its own) to a repository that has its base", "`crane push` of the same", "s", *on_base, notes=notes),
            Measure("push-on-base-bytes", "bytes that `airseal push` of that sent, all of HTTP", "bytes that `crane push` sent", "MB", *travelled, max_ratio=1.01, notes=("counted by a relay between client and registry",)),
            Measure("pull", f"`airseal pull`: {whole}, into an empty store; every byte hashed and on the disk (fsync)", "`crane pull --format=oci`, which hashes and leaves writing to the kernel", "s", *pulls, max_ratio=_MAX_RATIO, notes=notes),
            Measure("pull-on-disk", "the same", "`crane pull --format=oci`, then `sync` of its files: on the disk too", "s", *on_disk, max_ratio=_MAX_RATIO, notes=notes),
        ]

    def _ours(self, image: str, path: str, name: str = "") -> float:
        # What was pushed before would be mounted from there, and nothing would travel.
        shutil.rmtree(self._work / "cache" / "steps", ignore_errors=True)
        return self._airseal("cache", "push", f"{image}:1", f"{name or self._registry.name}/{path}:{image}", "--without-snapshot")

    def _theirs(self, image: str, path: str, name: str = "") -> float:
        return seconds(lambda: _run([str(self._crane), "push", str(self._work / image), f"{name or self._registry.name}/{path}:{image}", "--insecure"]))

    def _on_base(self, push: Callable[..., float]) -> float:
        path = self._fresh()
        push("base", path)
        return push("app", path)

    def _bytes(self, push: Callable[..., float]) -> float:
        path = self._fresh()
        push("base", path)
        with _counted(self._registry.address) as (name, count):
            push("app", path, name)
        return sum(count) / MB

    def _our_pull(self) -> float:
        shutil.rmtree(self._work / "pulled", ignore_errors=True)
        os.sync()
        return self._airseal("pulled", "pull", f"{self._registry.name}/pulled/it:base")

    def _their_pull(self) -> float:
        shutil.rmtree(self._work / "layout", ignore_errors=True)
        os.sync()
        return seconds(lambda: _run([str(self._crane), "pull", "--format=oci", "--insecure", f"{self._registry.name}/pulled/it:base", str(self._work / "layout")]))

    def _their_pull_and_sync(self) -> float:
        pulled = self._their_pull()
        return pulled + seconds(lambda: _run(["sync", *map(str, (self._work / "layout").rglob("*"))]))

    def _airseal(self, cache: str, *argv: str) -> float:
        return seconds(lambda: _run([sys.executable, "-m", "bundler", *argv, "--cache", str(self._work / cache)]))

    def _fresh(self) -> str:
        self._turn += 1
        return f"fresh/number-{self._turn}"

    def _made(self, name: str, layers: tuple[Descriptor, ...]) -> int:
        """Put an image into the store and into a layout of its own; return the bytes of its blobs."""
        blobs = self._images.blobs
        config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [str(layer.digest) for layer in layers]}}).encode()
        value = {
            "schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "layers": [layer.to_json() for layer in layers],
            "config": Descriptor(media_types.OCI_CONFIG, blobs.put(config), len(config)).to_json(),
        }  # fmt: skip
        raw = json.dumps(value).encode()
        root = Descriptor(media_types.OCI_MANIFEST, blobs.put(raw), len(raw))
        self._images.put(full_name(f"{name}:1"), root)
        layout = self._work / name
        (layout / "blobs" / "sha256").mkdir(parents=True)
        for part in closure(blobs, root, None):
            (layout / "blobs" / "sha256" / part.digest.encoded).hardlink_to(blobs.path(part.digest))
        (layout / "oci-layout").write_bytes(OCI_LAYOUT)
        (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root.to_json()]}))
        return sum(layer.size for layer in layers)


def _layers(blobs: DiskBlobStore, name: str, sizes: tuple[int, ...]) -> tuple[Descriptor, ...]:
    """Return layers of noise: the time is that of moving bytes."""
    made = []
    for size in sizes:
        with blobs.ingest() as writer:
            for start in range(0, size, _PIECE):
                writer.write(os.urandom(min(_PIECE, size - start)))
            made.append(Descriptor(media_types.OCI_LAYER, writer.commit(), size))
    return tuple(made)


def _run(command: list[str]) -> None:
    # An installed program has its bytecode; a checkout has it from its second start on, unless this says that it never has.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, check=True, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@contextmanager
def _counted(address: tuple[str, int]) -> Iterator[tuple[str, list[int]]]:
    """Yield the name of a relay to ``address``, and the bytes that clients have sent through it."""
    sent: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_relay, args=(server, address, sent), daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}", sent


def _relay(server: socket.socket, address: tuple[str, int], sent: list[int]) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:  # closed: the measure has ended
            return
        target = socket.create_connection(address)
        threading.Thread(target=_copy, args=(client, target, sent), daemon=True).start()
        threading.Thread(target=_copy, args=(target, client, []), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket, count: list[int]) -> None:
    try:
        while data := source.recv(1 << 18):
            target.sendall(data)
            count.append(len(data))
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
