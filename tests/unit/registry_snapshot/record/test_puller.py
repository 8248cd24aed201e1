"""A puller brings each thing once, and can be stopped."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from registry_snapshot.errors import (
    ManifestInvalid,
    RegistryError,
    UpstreamCorrupt,
    UpstreamError,
    UpstreamUnauthorized,
)
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.puller import Puller
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.serve.messages import Request, Response
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.growth import GrowthEndedError
from tests.unit.registry_snapshot.bodies import read_all
from tests.unit.registry_snapshot.conftest import Naps, mirrors_for
from tests.unit.registry_snapshot.images import AMD64, ARM64, make_image, make_index, put_json
from tests.unit.registry_snapshot.upstream_fake import FakeUpstream, cut_short, plain

APP = Repository.of("docker.io", "team/app")
QUAY = Repository.of("quay.io", "team/app")


class Meter:
    """Adds up progress from several threads."""

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()

    def __call__(self, count: int) -> None:
        with self._lock:
            self.total += count


def whole(puller: Puller, repository: Repository, wanted: Descriptor) -> bytes:
    return read_all(puller.blob(repository, wanted))


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def puller(upstream: FakeUpstream, blobs: DiskBlobStore, naps: Naps, meter: Meter) -> Iterator[Puller]:
    upstreams = Upstreams(mirrors_for(upstream, "quay.io"), DockerCredentials(), sleep=naps.sleep, clock=naps.clock, proxies={})
    puller = Puller(blobs, upstreams, (AMD64, ARM64), transfers=3, progress=meter)
    yield puller
    puller.close()
    upstreams.close()


def test_progress_adds_up_to_the_closure(puller: Puller, upstream: FakeUpstream, meter: Meter) -> None:
    images = {platform: make_image(upstream.blobs, "a", platform, (70_000, 5)) for platform in (AMD64, ARM64)}
    upstream.tag("team/app:1", make_index(upstream.blobs, images))
    parts = puller.complete(APP, puller.resolve(APP, "1").descriptor)
    assert len(parts) == 1 + 2 * 4
    assert meter.total == sum(part.size for part in parts)
    assert len(upstream.requests) == len(parts)
    assert puller.complete(APP, parts[0]) == parts
    assert len(upstream.requests) == len(parts)  # a second time nothing travels


def test_no_more_transfers_at_once_than_allowed(puller: Puller, upstream: FakeUpstream) -> None:
    image = make_image(upstream.blobs, "a", layer_sizes=tuple(range(100, 110)))
    upstream.tag("team/app:1", image.descriptor)
    lock, now, most, full = threading.Lock(), 0, 0, threading.Event()

    def count(request: Request) -> Response:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
            if now == 3:
                full.set()
        full.wait(2)
        try:
            return upstream.app.handle(request)
        finally:
            with lock:
                now -= 1

    root = puller.resolve(APP, "1").descriptor
    upstream.fault = count
    puller.complete(APP, root)
    assert most == 3


def test_a_blob_that_one_repository_refuses_is_tried_in_the_other(puller: Puller, upstream: FakeUpstream, blobs: DiskBlobStore) -> None:
    image = make_image(upstream.blobs, "a", layer_sizes=(500,))
    for name in ("team/app:1", "quay.io/team/app:1"):
        upstream.tag(name, image.descriptor)
    asked, second_waits = threading.Event(), threading.Event()

    def refuse_hub(request: Request) -> Response | None:
        if not request.path.startswith("/v2/docker.io/"):
            return None
        asked.set()
        second_waits.wait(0.3)
        return plain(403)

    upstream.fault = refuse_hub
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(whole, puller, APP, image.layers[0])
        assert asked.wait(5)
        second = pool.submit(whole, puller, QUAY, image.layers[0])
        with pytest.raises((UpstreamUnauthorized, GrowthEndedError)):
            first.result()
        second.result()
    puller.close()  # a client has its last byte before the blob is on the disk
    assert image.layers[0].digest in blobs


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503, "our disk is full"])
def test_half_a_blob_is_kept_whatever_the_other_half_meets(
    puller: Puller, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, *, status: int | str
) -> None:
    """Only bytes that are doubted are thrown away: 28 of 30 GB are not fetched again because a token server is down."""
    image = make_image(upstream.blobs, "a", layer_sizes=(400_000,))
    upstream.tag("team/app:1", image.descriptor)
    root = puller.resolve(APP, "1").descriptor
    asked: list[str | None] = []

    def half(request: Request) -> Response | None:
        if "/blobs/" not in request.path or str(image.layers[0].digest) not in request.path:
            return None
        asked.append(request.headers.get("Range"))
        if len(asked) == 1:
            return cut_short(upstream.app.handle(request), 200_000)
        return plain(status) if isinstance(status, int) else None

    written = 0

    def full(descriptor: int, data: bytes) -> int:
        nonlocal written
        if written + len(data) > 250_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        written += len(data)
        return os.write(descriptor, data)

    upstream.fault = half
    with monkeypatch.context() as inner:
        if isinstance(status, str):
            inner.setattr("registry_snapshot.store.disk._write", full)
        with pytest.raises(RegistryError):
            puller.complete(APP, root)
    upstream.fault = None
    before = len(upstream.requests)
    puller.complete(APP, root)
    (again,) = [request for request in upstream.requests[before:] if str(image.layers[0].digest) in request.path]
    begin = int((again.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
    assert begin >= 200_000


def test_the_first_failure_is_raised_after_all_transfers_have_ended(puller: Puller, upstream: FakeUpstream, blobs: DiskBlobStore) -> None:
    image = make_image(upstream.blobs, "a", layer_sizes=(100, 200, 300))
    upstream.tag("team/app:1", image.descriptor)
    upstream.fault = lambda request: plain(404) if str(image.layers[0].digest) in request.path else None
    with pytest.raises(UpstreamError, match="404"):
        puller.complete(APP, puller.resolve(APP, "1").descriptor)
    assert all(layer.digest in blobs for layer in image.layers[1:])


def test_a_closed_puller_ends_what_waits(puller: Puller, upstream: FakeUpstream) -> None:
    image = make_image(upstream.blobs, "a", layer_sizes=tuple(range(1000, 1030)))
    upstream.tag("team/app:1", image.descriptor)
    root = puller.resolve(APP, "1").descriptor
    arrived, go = threading.Event(), threading.Event()

    def hold(request: Request) -> None:
        arrived.set()
        go.wait(5)

    upstream.fault = hold  # type: ignore[assignment]
    with ThreadPoolExecutor(2) as pool:
        completing = pool.submit(puller.complete, APP, root)
        assert arrived.wait(5)
        closing = pool.submit(puller.close)
        assert puller._stopped.wait(5)
        go.set()
        with pytest.raises(RegistryError, match="stopped"):
            completing.result(10)
        closing.result(10)


def test_a_manifest_whose_bytes_are_others_is_refused(puller: Puller, upstream: FakeUpstream, blobs: DiskBlobStore) -> None:
    image, other = make_image(upstream.blobs, "a"), make_image(upstream.blobs, "b")
    raw = upstream.blobs.read(other.descriptor.digest)
    headers = {"Content-Type": other.descriptor.media_type}
    upstream.fault = lambda request: plain(200, raw, headers)
    with pytest.raises(UpstreamCorrupt, match="other bytes"):
        puller.manifest(APP, image.descriptor.digest)
    upstream.fault = lambda request: plain(200, raw, {**headers, "Docker-Content-Digest": str(image.descriptor.digest)})
    with pytest.raises(UpstreamCorrupt, match=r"docker\.io/team/app:1"):
        puller.resolve(APP, "1")
    assert list(blobs.digests()) == []


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<html>", "text/html"),
        (b"{}", "application/json"),
        (b'{"schemaVersion": 1}', "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        (b"[" * 100_000, OCI_INDEX),
        (b" " * (4 * 1024 * 1024 + 1), OCI_INDEX),
    ],
)
def test_what_is_no_manifest_is_named(puller: Puller, upstream: FakeUpstream, body: bytes, content_type: str) -> None:
    upstream.fault = lambda request: plain(200, body, {"Content-Type": content_type})
    with pytest.raises(ManifestInvalid, match=r"docker\.io/team/app:1 from docker\.io"):
        puller.resolve(APP, "1")


def test_indexes_in_indexes_have_an_end(puller: Puller, upstream: FakeUpstream) -> None:
    child = make_image(upstream.blobs, "a").descriptor
    for _ in range(12):
        child = put_json(upstream.blobs, OCI_INDEX, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child.to_json()]})
    upstream.tag("team/app:1", make_image(upstream.blobs, "b").descriptor)
    upstream.fault = lambda request: _by_digest(upstream, request)
    with pytest.raises(ManifestInvalid, match="nested"):
        puller.complete(APP, Descriptor(OCI_INDEX, child.digest, child.size))


def _by_digest(upstream: FakeUpstream, request: Request) -> Response | None:
    name = request.path.rpartition("/")[2]
    for digest in upstream.blobs.digests():
        if str(digest) == name:
            return plain(200, upstream.blobs.read(digest), {"Content-Type": OCI_INDEX})
    return None


def test_a_foreign_layer_is_fetched_from_its_own_address(puller: Puller, upstream: FakeUpstream, blobs: DiskBlobStore, tmp_path: Path) -> None:
    image = make_image(upstream.blobs, "a", layer_sizes=(400,))
    data = upstream.blobs.read(image.layers[0].digest)
    upstream.fault = lambda request: plain(200, data) if request.path == "/windows/layer" else plain(404)
    foreign = Descriptor(image.layers[0].media_type, image.layers[0].digest, 400, urls=(f"{upstream.url}/windows/layer",))
    assert whole(puller, APP, foreign) == data
    puller.close()
    assert blobs.read(foreign.digest) == data


def test_a_tag_means_the_digest_that_its_registry_tells_also_of_another_algorithm(puller: Puller, upstream: FakeUpstream, blobs: DiskBlobStore) -> None:
    raw = upstream.blobs.read(make_image(upstream.blobs, "a").descriptor.digest)
    told = Digest.of(raw, "sha512")
    upstream.fault = lambda request: plain(200, raw, {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": str(told)})
    assert puller.resolve(APP, "1").descriptor == Descriptor(OCI_MANIFEST, told, len(raw))
    assert blobs.read(told) == raw
