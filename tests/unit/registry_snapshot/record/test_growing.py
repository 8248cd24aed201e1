"""A blob that is still on its way: who waits for it, who reads it, and what happens when it stops."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from registry_snapshot.errors import TransferStopped
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.journal import Fetched
from registry_snapshot.record.puller import Puller
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.serve.messages import GrowingSlice, Request, Response
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.growth import Growth, GrowthEndedError
from tests.unit.registry_snapshot.bodies import read_all, read_first
from tests.unit.registry_snapshot.conftest import Naps, mirrors_for
from tests.unit.registry_snapshot.images import AMD64, Image, make_image, noise
from tests.unit.registry_snapshot.upstream_fake import FakeUpstream, plain

APP = Repository.of("docker.io", "team/app")
QUAY = Repository.of("quay.io", "team/app")
SIZE = 1_000_000


class Tap:
    """An upstream's answer whose bytes come when the test says so."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._fd = os.memfd_create("tap")
        os.write(self._fd, data)
        self._growth = Growth(self._fd, len(data))
        self.asked: list[str | None] = []

    def answer(self, request: Request) -> Response:
        header = request.headers.get("Range")
        self.asked.append(header)
        start = int(header.removeprefix("bytes=").rstrip("-")) if header else 0
        length = len(self.data) - start
        headers = [("Content-Length", str(length)), ("Content-Type", "application/octet-stream")]
        if header:
            headers.append(("Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"))
        return Response(206 if header else 200, tuple(headers), GrowingSlice(self._growth.follow(), start, length))

    def open_to(self, written: int) -> None:
        if written == len(self.data):
            self._growth.finish()
        else:
            self._growth.grew(written)

    def close(self) -> None:
        self._growth.finish()
        self._growth.close()
        os.close(self._fd)


@pytest.fixture
def image(upstream: FakeUpstream) -> Image:
    image = make_image(upstream.blobs, "a", layer_sizes=(SIZE,))
    upstream.tag("team/app:1", image.descriptor)
    upstream.tag("quay.io/team/app:1", image.descriptor)
    return image


@pytest.fixture
def tap(upstream: FakeUpstream, image: Image) -> Iterator[Tap]:
    """The image's layer comes from it."""
    tap = Tap(upstream.blobs.read(image.layers[0].digest))
    upstream.fault = lambda request: tap.answer(request) if str(image.layers[0].digest) in request.path else None
    yield tap
    tap.close()


@pytest.fixture
def fetches() -> list[Fetched]:
    return []


@pytest.fixture
def start(upstream: FakeUpstream, blobs: DiskBlobStore, naps: Naps, fetches: list[Fetched]) -> Iterator[Callable[[], Puller]]:
    started: list[tuple[Puller, Upstreams]] = []

    def start() -> Puller:
        upstreams = Upstreams(mirrors_for(upstream, "quay.io"), DockerCredentials(), sleep=naps.sleep, clock=naps.clock, proxies={})
        started.append((Puller(blobs, upstreams, (AMD64,), transfers=1, fetched=fetches.append), upstreams))
        return started[-1][0]

    yield start
    for puller, upstreams in started:
        upstreams.close()
        puller.close()


@pytest.fixture
def puller(start: Callable[[], Puller]) -> Puller:
    return start()


def test_a_client_reads_what_is_there_before_the_rest_has_come(puller: Puller, image: Image, tap: Tap) -> None:
    tap.open_to(SIZE // 2)
    with puller.blob(APP, image.layers[0]) as extent:
        assert read_first(extent, 1000) == tap.data[:1000]
        tap.open_to(SIZE)
        assert read_first(extent, SIZE) == tap.data


def test_sixteen_clients_on_one_cold_blob_fetch_it_once(puller: Puller, image: Image, tap: Tap, fetches: list[Fetched]) -> None:
    tap.open_to(SIZE // 2)
    with ThreadPoolExecutor(16) as pool:
        first = puller.blob(APP, image.layers[0])
        clients = pool.map(lambda _number: read_all(puller.blob(APP, image.layers[0])), range(15))
        tap.open_to(SIZE)
        assert set(clients) == {tap.data}
        assert read_all(first) == tap.data
    puller.close()
    assert tap.asked == [None]
    assert [(fetch.digest, fetch.bytes) for fetch in fetches] == [(image.layers[0].digest, SIZE)]


def test_a_client_that_goes_away_cancels_nothing(puller: Puller, image: Image, tap: Tap, blobs: DiskBlobStore) -> None:
    tap.open_to(SIZE // 2)
    puller.blob(APP, image.layers[0]).close()
    tap.open_to(SIZE)
    puller.complete(APP, image.descriptor)
    assert blobs.read(image.layers[0].digest) == tap.data
    assert tap.asked == [None]


def test_the_last_byte_is_held_back_until_the_whole_was_verified(puller: Puller, image: Image, upstream: FakeUpstream, blobs: DiskBlobStore) -> None:
    evil = Tap(noise("evil", SIZE))
    upstream.fault = lambda request: evil.answer(request) if str(image.layers[0].digest) in request.path else None
    evil.open_to(SIZE)
    with pytest.raises(GrowthEndedError), puller.blob(APP, image.layers[0]) as extent:
        read_first(extent, SIZE)
    evil.close()
    assert image.layers[0].digest not in blobs


def test_what_is_refused_before_its_first_byte_is_an_error_and_no_body(puller: Puller, image: Image, upstream: FakeUpstream) -> None:
    upstream.fault = lambda request: plain(404)
    with pytest.raises(Exception, match="HTTP 404"):
        puller.blob(APP, image.layers[0])


def test_a_client_does_not_wait_behind_what_nobody_waits_for(puller: Puller, image: Image, tap: Tap, upstream: FakeUpstream) -> None:
    small = make_image(upstream.blobs, "small", layer_sizes=(10,))
    upstream.tag("team/app:2", small.descriptor)
    with ThreadPoolExecutor(1) as pool:
        completing = pool.submit(puller.complete, APP, image.descriptor)  # its layer holds the only ordinary thread
        while not tap.asked:
            assert not completing.done()
        with puller.blob(APP, small.layers[0]) as extent:
            assert extent.size == 10
        tap.open_to(SIZE)
        completing.result(10)


def test_a_registry_that_hangs_holds_up_no_other(puller: Puller, image: Image, tap: Tap, upstream: FakeUpstream, blobs: DiskBlobStore) -> None:
    other = make_image(upstream.blobs, "other", layer_sizes=(10,))
    upstream.tag("quay.io/team/app:2", other.descriptor)
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(puller.complete, APP, image.descriptor)
        puller.complete(QUAY, other.descriptor)
        assert other.layers[0].digest in blobs
        tap.open_to(SIZE)
        hanging.result(10)


def test_a_transfer_that_is_stopped_is_gone_on_with_by_the_next_puller(
    start: Callable[[], Puller], image: Image, tap: Tap, blobs: DiskBlobStore
) -> None:
    first, half = start(), SIZE // 2
    tap.open_to(half)
    with first.blob(APP, image.layers[0]) as extent:
        read_first(extent, half)
        with ThreadPoolExecutor(1) as pool:
            closing = pool.submit(first.close)
            assert first._stopped.wait(5)
            tap.open_to(half + 300_000)  # the next bytes that come end it
            closing.result(10)
    assert image.layers[0].digest not in blobs
    with pytest.raises(TransferStopped):
        first.complete(APP, image.descriptor)
    tap.open_to(SIZE)
    start().complete(APP, image.descriptor)
    assert blobs.read(image.layers[0].digest) == tap.data
    assert tap.asked[0] is None
    assert int(str(tap.asked[1]).removeprefix("bytes=").rstrip("-")) >= half


def test_what_a_kill_left_is_gone_on_with(puller: Puller, image: Image, tap: Tap, blobs: DiskBlobStore) -> None:
    left = Path(blobs.root, "blobs", "sha256", f".partial-{image.layers[0].digest.encoded}")
    left.parent.mkdir(parents=True)
    left.write_bytes(tap.data[:700_000])
    tap.open_to(SIZE)
    puller.complete(APP, image.descriptor)
    assert tap.asked == ["bytes=700000-"]
    assert blobs.read(image.layers[0].digest) == tap.data


def test_what_a_power_cut_left_wrong_is_fetched_anew(puller: Puller, image: Image, tap: Tap, blobs: DiskBlobStore) -> None:
    left = Path(blobs.root, "blobs", "sha256", f".partial-{image.layers[0].digest.encoded}")
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(700_000))
    tap.open_to(SIZE)
    puller.complete(APP, image.descriptor)
    assert tap.asked == ["bytes=700000-", None]
    assert blobs.read(image.layers[0].digest) == tap.data


def test_every_reader_reads_the_whole_when_the_transfer_begins_again_before_its_first_byte_went_out() -> None:
    descriptor = os.memfd_create("growth")
    growth = Growth(descriptor, 4)
    growth.grew(2)
    late, early = growth.follow(), growth.follow()
    assert early.available(0, 1) == 2
    assert early.available(1, 0) == 2
    growth.restart()
    os.pwrite(descriptor, b"abcd", 0)
    growth.finish()
    assert late.available(0, 1) == 4
    assert late.read(4, 0) == b"abcd"
    with pytest.raises(GrowthEndedError, match="began again"):
        early.available(2, 1)
    for extent in (late, early):
        extent.close()
    growth.close()
    os.close(descriptor)
