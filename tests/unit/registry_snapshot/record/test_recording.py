"""A recording on the disk can be read at any time, and serves what is whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_snapshot.errors import DigestMismatch, ManifestUnknown, RegistryError, StoreError
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.recorder import Recorder
from registry_snapshot.record.recording import RecordingDirectory, is_recording
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.image_set import ImageSet
from registry_snapshot.store.layout_index import parse_layout_index
from registry_snapshot.store.verify import verify_blob
from tests.unit.registry_snapshot.conftest import Naps, mirrors_for
from tests.unit.registry_snapshot.images import AMD64, ARM64, Image, make_image
from tests.unit.registry_snapshot.upstream_fake import FakeUpstream, plain

APP = Repository.of("docker.io", "team/app")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "recording"


@pytest.fixture
def whole(upstream: FakeUpstream) -> Image:
    image = make_image(upstream.blobs, "whole")
    upstream.tag("team/app:1", image.descriptor)
    return image


@pytest.fixture
def recorder(directory: Path, upstream: FakeUpstream, whole: Image, naps: Naps) -> Iterator[Recorder]:
    """A recorder that got one image whole, and of another the manifest only."""
    torn = make_image(upstream.blobs, "torn")
    upstream.tag("team/app:2", torn.descriptor)
    upstream.fault = lambda request: plain(404) if str(torn.layers[0].digest) in request.path else None
    mirrors = mirrors_for(upstream)
    upstreams = Upstreams(mirrors, DockerCredentials(), sleep=naps.sleep, clock=naps.clock, proxies={})
    with Recorder(directory, DiskBlobStore(directory), mirrors, DockerCredentials(), (AMD64,), upstreams=upstreams) as recorder:
        for tag in ("1", "2"):
            recorder.resolve(APP, tag, client="10.0.0.2", method="HEAD")
        with pytest.raises(RegistryError, match="1 of 2 images"):
            recorder.finish()
        yield recorder


def test_it_is_read_while_its_recorder_works(directory: Path, recorder: Recorder, whole: Image) -> None:
    assert is_recording(directory)
    recording = RecordingDirectory.open(directory)
    first, second = recording.images
    assert (str(first.reference), first.descriptor, first.problem) == ("docker.io/team/app:1", whole.descriptor, "")
    assert [part.digest for part in first.parts] == [whole.descriptor.digest, whole.config.digest, *(layer.digest for layer in whole.layers)]
    assert first.total_bytes == sum(part.size for part in first.parts)
    assert "is missing" in second.problem
    assert (second.parts, second.total_bytes) == ((), 0)
    assert recording.platforms == (AMD64,)
    assert [pull.method for pull in recording.history.pulls] == ["HEAD", "HEAD"]
    assert recording.history == recorder.history


def test_what_travelled_is_written_down_once_for_every_digest(recorder: Recorder, whole: Image) -> None:
    came = [fetch.digest for fetch in recorder.history.fetches]
    assert len(came) == len(set(came))
    for part in (whole.descriptor, whole.config, *whole.layers):
        (fetch,) = [fetch for fetch in recorder.history.fetches if fetch.digest == part.digest]
        assert (fetch.repository, fetch.bytes, fetch.retries) == (APP, part.size, 0)
        assert "mirror localhost" in fetch.upstream


def test_only_what_is_whole_is_served_and_listed(directory: Path, recorder: Recorder, whole: Image) -> None:
    recording = RecordingDirectory.open(directory)
    assert [(str(reference), descriptor) for reference, descriptor in recording.roots] == [("docker.io/team/app:1", whole.descriptor)]
    images = ImageSet(recording.blobs, recording.roots)
    assert images.resolve(APP, "1", client="", method="HEAD") == whole.descriptor
    with pytest.raises(ManifestUnknown):
        images.resolve(APP, "2", client="", method="HEAD")
    recording.write_layout()
    assert parse_layout_index((directory / "index.json").read_bytes()) == recording.roots
    assert (directory / "oci-layout").is_file()


def test_a_recording_for_more_platforms_says_so(directory: Path, recorder: Recorder) -> None:
    recorder.close()
    with Recorder(directory, DiskBlobStore(directory), Mirrors(), DockerCredentials(), (AMD64, ARM64)):
        assert RecordingDirectory.open(directory).platforms == (AMD64, ARM64)


@pytest.mark.parametrize("text", ["", "{}", '{"version": 7, "platforms": []}', '{"version": 1, "platforms": ["x"]}'])
def test_damaged_settings_are_named(directory: Path, text: str) -> None:
    directory.mkdir()
    (directory / "recording.json").write_text(text)
    with pytest.raises(StoreError, match=r"recording\.json"):
        RecordingDirectory.open(directory)


def test_a_directory_that_is_none_is_named(tmp_path: Path) -> None:
    assert not is_recording(tmp_path)
    with pytest.raises(RegistryError, match="is no recording"):
        RecordingDirectory.open(tmp_path)


def test_every_byte_is_hashed_when_a_blob_is_verified(directory: Path, recorder: Recorder, whole: Image) -> None:
    blobs = RecordingDirectory.open(directory).blobs
    layer = whole.layers[0]
    assert verify_blob(blobs, layer.digest) == layer.size
    data = bytearray(blobs.read(layer.digest))
    data[-1] ^= 1
    blobs.path(layer.digest).write_bytes(data)
    with pytest.raises(DigestMismatch, match=str(layer.digest)):
        verify_blob(blobs, layer.digest)
