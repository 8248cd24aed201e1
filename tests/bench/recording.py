"""What pulling through the recorder costs, and saves, against pulling from the upstream itself: the real distribution."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.layout_index import OCI_LAYOUT, layout_index
from tests.airseal_process import Airseal
from tests.bench.bench import Bench, seconds
from tests.bench.far_away import FarAway
from tests.bench.measure import MB, Measure
from tests.bench.process_tree import ProcessTree
from tests.conformance.distribution import DistributionRegistry
from tests.testbed.docker_engine import require_packages
from tests.testbed.parts import Parts
from tests.unit.registry_snapshot.images import Image, make_image

_LARGE = (500_000_000,)
_MANY = (400_000,) * 100
_ROUND_TRIP = 0.020
_CLIENTS_AT_ONCE = 16
_CLIENTS_FOR_MEMORY = 32
_NAMES: Mapping[str, tuple[int, ...]] = {"large": _LARGE, "many": _MANY}
_SENT = re.compile(r'"GET /v2/\S+/blobs/(sha256:[0-9a-f]{64}) HTTP/1\.1" 20\d (\d+)')


@dataclass(frozen=True)
class _Scene:
    """The upstream with two images, the same upstream far away, and a directory to work in."""

    upstream: DistributionRegistry
    far: FarAway
    images: Mapping[str, Image]
    work: Path


def recording(bench: Bench) -> list[Measure]:
    """Measure a cold pull, a warm one, sixteen clients on one cold blob, and memory."""
    with _scene(bench) as scene:
        return [_cold(scene, bench), _cold_far(scene, bench), _warm(scene, bench), _once(scene), _memory(scene)]


@contextmanager
def _scene(bench: Bench) -> Iterator[_Scene]:
    require_packages(bench.cache)
    parts = Parts(bench.cache)
    parts.build_all(only=("registry", "crane"))
    work = bench.work / "recording"
    shutil.rmtree(work, ignore_errors=True)
    layout = DiskBlobStore(work / "layout")
    images = {name: make_image(layout, name, layer_sizes=sizes) for name, sizes in _NAMES.items()}
    (layout.root / "oci-layout").write_bytes(OCI_LAYOUT)
    with DistributionRegistry(parts.out("registry") / "registry", work / "upstream", access_log=True) as upstream:
        for name, image in images.items():
            (layout.root / "index.json").write_bytes(layout_index([(Reference.parse(f"quay.io/{name}:1"), image.descriptor)]))
            target = f"{upstream.address[0]}:{upstream.address[1]}/{name}:1"
            subprocess.run([parts.out("crane") / "crane", "push", "--insecure", layout.root, target], check=True, capture_output=True)
        shutil.rmtree(layout.root)
        with FarAway(upstream.address, _ROUND_TRIP) as far:
            yield _Scene(upstream, far, images, work)
    shutil.rmtree(work)


@contextmanager
def _recorder(scene: _Scene, url: str) -> Iterator[Airseal]:
    """Yield ``airseal record`` that has nothing yet."""
    into = scene.work / "recording"
    shutil.rmtree(into, ignore_errors=True)
    with Airseal("record", "--listen", "127.0.0.1:0", "--into", into, "--mirror", f"quay.io={url}", wait_for="recording") as recorder:
        yield recorder
        recorder.end()


def _pull(scene: _Scene, image: str) -> float:
    """Return how long skopeo takes to copy an image into an empty directory, every blob hashed."""
    target = scene.work / "copy"
    shutil.rmtree(target, ignore_errors=True)
    command = ["skopeo", "copy", "--quiet", "--src-tls-verify=false", f"docker://{image}", f"dir:{target}"]
    return seconds(lambda: subprocess.run(command, check=True, capture_output=True))


def _pair(scene: _Scene, bench: Bench, name: str, url: str, address: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return cold pulls of an image through a new recorder each, and direct ones, in turns."""
    ours, direct = [], []
    _pull(scene, f"{scene.upstream.address[0]}:{scene.upstream.address[1]}/{name}:1")  # the page cache is warm for both
    for _ in range(bench.repetitions(5)):
        with _recorder(scene, url) as recorder:
            ours.append(_pull(scene, f"{recorder.address}/quay.io/{name}:1"))
        direct.append(_pull(scene, f"{address}/{name}:1"))
    return tuple(ours), tuple(direct)


def _cold(scene: _Scene, bench: Bench) -> Measure:
    upstream = f"{scene.upstream.address[0]}:{scene.upstream.address[1]}"
    ours, direct = _pair(scene, bench, "large", scene.upstream.url, upstream)
    return Measure(
        name="record-cold",
        what="skopeo copies an image with one layer of 500 MB to a directory, through a recorder that has nothing",
        peer="the same from the upstream itself, the real distribution, on loopback",
        unit="s",
        values=ours,
        peer_values=direct,
        max_ratio=1.1,
        notes=("on loopback the upstream is as fast as memory: reading, hashing and writing it once more shares two cores with it and with skopeo",),
    )


def _cold_far(scene: _Scene, bench: Bench) -> Measure:
    far = f"{scene.far.address[0]}:{scene.far.address[1]}"
    ours, direct = _pair(scene, bench, "many", scene.far.url, far)
    return Measure(
        name="record-cold-20ms",
        what="skopeo copies an image with 100 layers of 0.4 MB, through a recorder that has nothing, the upstream 20 ms away",
        peer="the same from that upstream itself",
        unit="s",
        values=ours,
        peer_values=direct,
        max_ratio=1.1,
    )


def _warm(scene: _Scene, bench: Bench) -> Measure:
    ours, direct = [], []
    with _recorder(scene, scene.far.url) as recorder:
        _pull(scene, f"{recorder.address}/quay.io/many:1")
        for _ in range(bench.repetitions(5)):
            ours.append(_pull(scene, f"{recorder.address}/quay.io/many:1"))
            direct.append(_pull(scene, f"{scene.far.address[0]}:{scene.far.address[1]}/many:1"))
    return Measure(
        name="record-warm-20ms",
        what="skopeo copies an image with 100 layers of 0.4 MB from a recorder that has it",
        peer="the same from the upstream, 20 ms away",
        unit="s",
        values=tuple(ours),
        peer_values=tuple(direct),
        max_ratio=0.333,
    )


def _crowd(recorder: Airseal, layer: Descriptor, count: int) -> None:
    """Have ``count`` clients pull the large image's layer at once."""
    target = f"http://{recorder.address}/v2/quay.io/large"
    subprocess.run(["curl", "-sfI", f"{target}/manifests/1"], check=True, capture_output=True)
    fetch = ["curl", "-sf", "-o", "/dev/null", f"{target}/blobs/{layer.digest}"]
    with ThreadPoolExecutor(count) as clients:
        list(clients.map(lambda _number: subprocess.run(fetch, check=True), range(count)))


def _once(scene: _Scene) -> Measure:
    layer = scene.images["large"].layers[0]
    before = len(scene.upstream.log())
    with _recorder(scene, scene.upstream.url) as recorder:
        _crowd(recorder, layer, _CLIENTS_AT_ONCE)
    scene.upstream.wait_until_idle()
    sent = sum(int(size) for digest, size in _SENT.findall(scene.upstream.log()[before:]) if digest == str(layer.digest))
    return Measure(
        name="record-once",
        what="what the upstream has sent, by its own log, while 16 clients asked at once for one blob that was not there",
        peer="the blob",
        unit="MB",
        values=(sent / MB,),
        peer_values=(layer.size / MB,),
        max_ratio=1.0,
    )


def _memory(scene: _Scene) -> Measure:
    layer = scene.images["large"].layers[0]
    with _recorder(scene, scene.upstream.url) as recorder, ProcessTree(recorder.process.pid) as tree:
        _crowd(recorder, layer, _CLIENTS_FOR_MEMORY)
    return Measure(
        name="record-memory",
        what="`airseal record` while 32 clients at once pull a blob of 500 MB that was not there",
        peer="that blob",
        unit="MB",
        values=(tree.peak / MB,),
        peer_values=(layer.size / MB,),
        max_value=150,
    )
