"""What comes is on the disk before it has its name, however early the disk began with it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_snapshot.errors import StoreError
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record import write_out
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.puller import Puller
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.record.write_out import WriteOut
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.registry_snapshot.conftest import Naps, mirrors_for
from tests.unit.registry_snapshot.images import make_image
from tests.unit.registry_snapshot.upstream_fake import FakeUpstream

APP = Repository.of("docker.io", "team/app")
Range = tuple[int, int]


@pytest.fixture
def puller(upstream: FakeUpstream, blobs: DiskBlobStore, naps: Naps) -> Iterator[Puller]:
    with Upstreams(mirrors_for(upstream), DockerCredentials(), sleep=naps.sleep, clock=naps.clock, proxies={}) as upstreams:
        puller = Puller(blobs, upstreams, None)
        yield puller
        puller.close()


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Range]:
    """Return what the disk is asked to begin with."""
    ranges: list[Range] = []

    def begin(_: int, start: int, length: int, __: int) -> int:
        ranges.append((start, length))
        return 0

    monkeypatch.setattr(write_out, "_sync_file_range", lambda: begin)
    return ranges


def test_every_blob_is_on_the_disk_before_its_name_is(puller: Puller, upstream: FakeUpstream, blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    image = make_image(upstream.blobs, "a", layer_sizes=(300_000, 200_000, 100))
    upstream.tag("team/app:1", image.descriptor)
    monkeypatch.setattr(write_out, "_STEP", 1000)
    events: list[tuple[str, str]] = []
    fsync, rename = os.fsync, Path.rename

    def synced(descriptor: int) -> None:
        path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)
        events.append(("synced", path))

    def renamed(self: Path, target: Path) -> Path:
        events.append(("renamed", f"{self} {target}"))
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    puller.complete(APP, image.descriptor)
    monkeypatch.undo()
    names = dict(reversed(text.split(" ")) for kind, text in events if kind == "renamed")
    for part in (image.descriptor, image.config, *image.layers):
        target = str(blobs.path(part.digest))
        named = events.index(("renamed", f"{names[target]} {target}"))
        assert ("synced", names[target]) in events[:named]
        assert ("synced", str(Path(target).parent)) in events[named:]


def test_a_disk_that_fails_is_heard_though_it_began_early(puller: Puller, upstream: FakeUpstream, blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    image = make_image(upstream.blobs, "a", layer_sizes=(300_000,))
    upstream.tag("team/app:1", image.descriptor)
    monkeypatch.setattr(write_out, "_STEP", 1000)
    fsync = os.fsync

    def fail(descriptor: int) -> None:
        if os.fstat(descriptor).st_size == image.layers[0].size:
            raise OSError(errno.EIO, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match="Input/output"):
        puller.complete(APP, image.descriptor)
    assert image.layers[0].digest not in blobs


def test_the_disk_begins_with_whole_steps_each_once(begun: list[Range]) -> None:
    begins, step = WriteOut(-1), write_out._STEP
    for size in (1, step - 1, step, step + 1, 3 * step, 3 * step + 1):
        begins.wrote(size)
    assert begun == [(0, step), (step, 2 * step)]


def test_what_begins_again_is_begun_with_again(begun: list[Range]) -> None:
    begins, step = WriteOut(-1), write_out._STEP
    for size in (step, 5, step):
        begins.wrote(size)
    assert begun == [(0, step), (0, step)]


def test_a_system_without_it_leaves_all_to_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise AttributeError("sync_file_range")

    monkeypatch.setattr(write_out, "_sync_file_range", absent)
    begins = WriteOut(-1)
    begins.wrote(write_out._STEP)
    assert begins._begun == write_out._STEP, "nobody asks again for what cannot be had"
