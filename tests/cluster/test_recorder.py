"""The recorder under force: kill -9 at random moments, twenty times, and a disk that fills in the middle of a fetch.

Nothing that was said is lost, nothing that is on the disk comes again.

The recorder is the real command, its upstream the real distribution registry, whose own log tells what it has sent.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import Manifest, parse_manifest
from registry_snapshot.oci.media_types import OCI_MANIFEST
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.recording import RecordingDirectory
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.layout_index import OCI_LAYOUT, layout_index
from registry_snapshot.store.verify import verify_blob
from tests.airseal_process import Airseal, airseal
from tests.conformance.distribution import DistributionRegistry
from tests.testbed.cache import Cache
from tests.testbed.parts import Parts
from tests.unit.registry_snapshot.images import make_image

pytestmark = pytest.mark.cluster

KILLS = 20
FULL_DISK = 9
IMAGES = 50
LAYERS = (2_000_000, 1_500_000, 700_000, 0)
NAMES = tuple(f"team/app{number}" for number in range(IMAGES))
SENT = re.compile(r'"GET /v2/\S+/blobs/(sha256:[0-9a-f]{64}) HTTP/1\.1" (\d{3}) (\d+)')


@dataclass(frozen=True)
class Published:
    """The upstream, and what it holds: a different image under each name."""

    registry: DistributionRegistry
    images: dict[str, Descriptor]
    sizes: dict[str, int]


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """The real registry, filled by crane."""
    parts = Parts(Cache.default())
    parts.build_all(only=("registry", "crane"))
    layout = DiskBlobStore(tmp_path_factory.mktemp("layout"))
    images = {name: make_image(layout, name, layer_sizes=LAYERS).descriptor for name in NAMES}
    (layout.root / "oci-layout").write_bytes(OCI_LAYOUT)
    with DistributionRegistry(parts.out("registry") / "registry", tmp_path_factory.mktemp("upstream"), access_log=True) as registry:
        for name, descriptor in images.items():
            (layout.root / "index.json").write_bytes(layout_index([(Reference.parse(f"quay.io/{name}:1"), descriptor)]))
            target = f"{registry.address[0]}:{registry.address[1]}/{name}:1"
            subprocess.run([parts.out("crane") / "crane", "push", "--insecure", layout.root, target], check=True, capture_output=True, timeout=60)
        yield Published(registry, images, {str(digest): layout.size(digest) for digest in layout.digests()})


def record(into: Path, upstream: DistributionRegistry) -> Airseal:
    mirror = f"quay.io={upstream.url}"
    return Airseal("record", "--listen", "127.0.0.1:0", "--into", into, "--mirror", mirror, wait_for="recording")


def pull(address: str, name: str) -> tuple[bool, bool]:
    """Pull one image as containerd does. Tell whether its HEAD was answered, and whether all of it came and is right."""
    connection = http.client.HTTPConnection(address, timeout=60)
    answered = False
    try:
        connection.request("HEAD", f"/v2/{name}/manifests/1?ns=quay.io")
        head = connection.getresponse()
        head.read()
        answered = head.status == 200
        digest = Digest.parse(head.headers["Docker-Content-Digest"])
        manifest = parse_manifest(_get(connection, f"/v2/{name}/manifests/{digest}?ns=quay.io", digest), OCI_MANIFEST)
        assert isinstance(manifest, Manifest)
        for part in manifest.children():
            assert len(_get(connection, f"/v2/{name}/blobs/{part.digest}?ns=quay.io", part.digest)) == part.size
    except (OSError, http.client.HTTPException):
        return answered, False
    finally:
        connection.close()
    return True, True


def _get(connection: http.client.HTTPConnection, target: str, digest: Digest) -> bytes:
    connection.request("GET", target)
    answer = connection.getresponse()
    body = answer.read()  # raises IncompleteRead for a body that is cut
    if answer.status != 200:
        raise http.client.HTTPException(f"{target}: {answer.status} {body!r}")
    assert Digest.of(body) == digest
    return body


def test_killed_twenty_times_nothing_is_lost_and_nothing_comes_twice(
    upstream: Published, tmp_path: Path
) -> None:
    into = tmp_path / "recording"
    moments = random.Random(20)  # noqa: S311 - the same moments in every run
    said: set[str] = set()
    whole: list[int] = []
    held: dict[str, int] = {}
    for _ in range(KILLS):
        log_before = len(upstream.registry.log())
        with record(into, upstream.registry) as recorder, ThreadPoolExecutor(IMAGES) as clients:
            pulls = {name: clients.submit(pull, recorder.address, name) for name in NAMES}
            try:
                recorder.process.wait(moments.uniform(0.02, 0.5))
            except subprocess.TimeoutExpired:
                recorder.end(signal.SIGKILL)
        assert recorder.process.returncode == -signal.SIGKILL
        said |= {name for name, done in pulls.items() if done.result()[0]}
        recording = RecordingDirectory.open(into)
        frozen = {image.reference.repository.path: image.descriptor for image in recording.images}
        assert said <= set(frozen)  # what a client was told is on the disk
        assert {pulled.reference.repository.path for pulled in recording.history.pulls} >= said
        assert all(upstream.images[name] == descriptor for name, descriptor in frozen.items())
        whole.append(len(recording.roots))
        upstream.registry.wait_until_idle()
        assert came_again(upstream, log_before, held) == []
        held = held_in(into)
    assert whole == sorted(whole)
    assert whole[0] < IMAGES  # it really was killed in the middle

    log_before = len(upstream.registry.log())
    with record(into, upstream.registry) as recorder:
        with ThreadPoolExecutor(IMAGES) as clients:
            assert set(clients.map(lambda name: pull(recorder.address, name), NAMES)) == {(True, True)}
        ended = recorder.end(signal.SIGTERM)
    assert ended.code == 0, ended
    verify = airseal("snapshot", into, "--verify", "--json")
    assert verify.code == 0, verify
    assert json.loads(verify.out)["incomplete"] == 0
    assert {image["reference"]: image["digest"] for image in json.loads(verify.out)["images"]} == {
        f"quay.io/{name}:1": str(descriptor.digest) for name, descriptor in upstream.images.items()
    }
    blobs = held_in(into)
    assert set(held) <= set(blobs)
    assert came_again(upstream, log_before, held) == []
    assert {digest for digest, _, _ in SENT.findall(upstream.registry.log())} <= set(blobs)  # the log was understood
    print(f"images whole after each kill: {whole}")


def test_a_disk_that_fills_in_the_middle_of_a_fetch_is_named_and_costs_nothing_that_is_whole(upstream: Published, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    first, second = NAMES[:2]
    one = sum(LAYERS) + 100_000
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={one + one // 2}", "tmpfs", disk], check=True)
    try:
        with record(disk / "recording", upstream.registry) as recorder:
            assert pull(recorder.address, first) == (True, True)
            assert pull(recorder.address, second)[1] is False
            subprocess.run(["mount", "-o", f"remount,size={one * 3}", disk], check=True)
            assert pull(recorder.address, second) == (True, True)  # the same recorder goes on, once there is room
            ended = recorder.end(signal.SIGTERM)
        assert ended.code == 0, ended
        with record(disk / "recording", upstream.registry) as again:
            subprocess.run(["mount", "-o", f"remount,size={one * 2 + one // 2}", disk], check=True)
            assert pull(again.address, NAMES[2])[1] is False
            ended = again.end(signal.SIGTERM)
        assert ended.code == FULL_DISK
        assert "no space left for" in ended.out
        left = [path.name for path in (disk / "recording" / "blobs" / "sha256").iterdir() if path.name.startswith(".")]
        assert all(name.startswith(".partial-") for name in left), "halves are kept for the next try (ADR 0021), nothing else is"
        recording = RecordingDirectory.open(disk / "recording")
        assert {f"quay.io/{name}:1" for name in (first, second)} <= {str(reference) for reference, _ in recording.roots}
        for digest in recording.blobs.digests():
            verify_blob(recording.blobs, digest)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def held_in(into: Path) -> dict[str, int]:
    """Return how many bytes of each blob are on the disk, those of halves too."""
    found = ((path.name.removeprefix(".partial-"), path.stat().st_size) for path in (into / "blobs" / "sha256").iterdir())
    return {f"sha256:{name}": size for name, size in found if not name.startswith(".")}


def came_again(upstream: Published, log_before: int, held: dict[str, int]) -> list[tuple[str, str, int]]:
    """Return what the upstream has sent, as its own log says, of bytes that were on the disk before.

    What was asked for from the byte on that was missing has the status 206, and no more than the rest of the blob.
    """
    sent = [(digest, status, int(size)) for digest, status, size in SENT.findall(upstream.registry.log()[log_before:])]
    return [
        (digest, status, size)
        for digest, status, size in sent
        if (status != "206" and held.get(digest, 0) > 0) or size > upstream.sizes[digest] - held.get(digest, 0)
    ]
