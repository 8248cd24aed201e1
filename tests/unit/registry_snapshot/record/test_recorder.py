"""What a recorder counts as used, what it freezes, and what it refuses to call complete."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from registry_snapshot.errors import (
    BlobUnknown,
    ManifestUnknown,
    NameUnknown,
    NothingForPlatform,
    RegistryError,
    UpstreamCorrupt,
    UpstreamError,
    UpstreamUnauthorized,
)
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.record.journal import Journal
from registry_snapshot.record.recorder import Recorder
from registry_snapshot.record.snapshot import Reason, Snapshot
from registry_snapshot.store.closure import closure
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.growth import GrowthEndedError
from registry_snapshot.store.image_set import ImageSet
from tests.unit.registry_snapshot.bodies import read_all
from tests.unit.registry_snapshot.images import AMD64, ARM64, make_image, make_index, noise
from tests.unit.registry_snapshot.upstream_fake import FakeUpstream, cut_short, plain

APP = Repository.of("docker.io", "team/app")
NODE = "10.0.0.2"


def settled(recorder: Recorder) -> None:
    """Wait until nothing is under way."""
    until = time.monotonic() + 10
    while recorder.in_flight:
        assert time.monotonic() < until
        time.sleep(0.01)


def references(snapshot: Snapshot) -> list[str]:
    return [str(image.reference) for image in snapshot.images]


def test_one_head_is_a_use_and_brings_the_whole_closure(recorder: Recorder, upstream: FakeUpstream, blobs: DiskBlobStore) -> None:
    amd, arm = make_image(upstream.blobs, "a", AMD64), make_image(upstream.blobs, "a", ARM64)
    index = make_index(upstream.blobs, {AMD64: amd, ARM64: arm})
    upstream.tag("team/app:1", index)
    assert recorder.resolve(APP, "1", client=NODE, method="HEAD") == index
    (image,) = recorder.finish().images
    assert str(image.reference) == "docker.io/team/app:1"
    assert image.descriptor == index
    assert image.platforms == (AMD64,)
    assert image.reasons == (Reason(NODE, "HEAD"),)
    wanted = closure(blobs, index, (AMD64,))
    assert [part.digest for part in wanted] == [
        index.digest,
        amd.descriptor.digest,
        amd.config.digest,
        *(layer.digest for layer in amd.layers),
    ]
    assert image.total_bytes == sum(part.size for part in wanted)
    assert arm.descriptor.digest not in blobs
    assert blobs.read(index.digest) == upstream.blobs.read(index.digest)


def test_the_closure_comes_without_anybody_asking_for_it(recorder: Recorder, upstream: FakeUpstream, blobs: DiskBlobStore) -> None:
    image = make_image(upstream.blobs, "a")
    upstream.tag("team/app:1", image.descriptor)
    before = recorder.last_activity
    recorder.resolve(APP, "1", client=NODE, method="HEAD")
    settled(recorder)
    assert all(layer.digest in blobs for layer in image.layers)
    assert recorder.last_activity > before


def test_a_look_records_nothing_and_tells_yes_no_and_not_for_us(recorder: Recorder, upstream: FakeUpstream) -> None:
    arm = make_image(upstream.blobs, "arm", ARM64)
    upstream.tag("team/app:1", make_image(upstream.blobs, "a").descriptor)
    upstream.tag("team/app:arm", make_index(upstream.blobs, {ARM64: arm}))
    assert recorder.look(Reference.parse("team/app:1")).digest == make_image(upstream.blobs, "a").descriptor.digest
    with pytest.raises(ManifestUnknown):
        recorder.look(Reference.parse("team/app:2"))
    with pytest.raises(NothingForPlatform, match="linux/arm64"):
        recorder.look(Reference.parse("team/app:arm"))
    assert (recorder.finish().images, recorder.failures(), len(recorder.history.pulls)) == ((), (), 0)


def test_a_tag_beside_a_digest_is_kept_without_asking_and_what_somebody_asked_for_counts(recorder: Recorder, upstream: FakeUpstream) -> None:
    old, new = make_image(upstream.blobs, "old").descriptor, make_image(upstream.blobs, "new").descriptor
    upstream.tag("team/app:1", old)
    upstream.tag("team/app:1", new)  # it moved since the application pinned it
    upstream.tag("team/app:2", old)
    tags = [Reference.parse(f"team/app:{tag}") for tag in "12"]
    assert recorder.keep_tag(tags[0], old.digest, "named") is None, "nobody has recorded that digest"
    recorder.add(Reference.parse(f"team/app@{old.digest}"), "named")
    upstream.requests.clear()
    assert recorder.keep_tag(tags[0], old.digest, "named") == old
    assert not upstream.paths("manifests/1")
    recorder.add(Reference.parse("team/app:2"), "asked")
    assert recorder.keep_tag(tags[1], new.digest, "named") == old
    meanings = {str(image.reference): image.descriptor.digest for image in recorder.finish().images}
    assert meanings == {f"docker.io/team/app@{old.digest}": old.digest, "docker.io/team/app:1": old.digest, "docker.io/team/app:2": old.digest}


def test_same_path_on_two_registries_is_two_images(recorder: Recorder, upstream: FakeUpstream) -> None:
    ours, theirs = make_image(upstream.blobs, "ours"), make_image(upstream.blobs, "theirs")
    upstream.tag("docker.io/team/app:1", ours.descriptor)
    upstream.tag("quay.io/team/app:1", theirs.descriptor)
    quay = Repository.of("quay.io", "team/app")
    assert recorder.resolve(APP, "1", client=NODE, method="HEAD") == ours.descriptor
    assert recorder.resolve(quay, "1", client=NODE, method="HEAD") == theirs.descriptor
    snapshot = recorder.finish()
    assert references(snapshot) == ["docker.io/team/app:1", "quay.io/team/app:1"]
    assert [image.descriptor for image in snapshot.images] == [ours.descriptor, theirs.descriptor]


def test_a_tag_that_moves_after_its_first_answer_stays_what_it_was(recorder: Recorder, upstream: FakeUpstream) -> None:
    first, second = make_image(upstream.blobs, "first"), make_image(upstream.blobs, "second")
    upstream.tag("team/app:latest", first.descriptor)
    assert recorder.resolve(APP, "latest", client=NODE, method="HEAD") == first.descriptor
    upstream.tag("team/app:latest", second.descriptor)
    assert recorder.resolve(APP, "latest", client="10.0.0.3", method="GET") == first.descriptor
    (image,) = recorder.finish().images
    assert image.descriptor == first.descriptor
    assert image.reasons == (Reason(NODE, "HEAD"), Reason("10.0.0.3", "GET"))
    assert len(upstream.paths("/manifests/latest")) == 1


def test_frozen_tags_survive_a_process_that_is_killed(tmp_path: Path, start_recorder: Callable[..., Recorder], upstream: FakeUpstream) -> None:
    first, second = make_image(upstream.blobs, "first"), make_image(upstream.blobs, "second")
    upstream.tag("team/app:1", first.descriptor)
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from registry_snapshot.oci.descriptor import Platform\n"
        "from registry_snapshot.oci.reference import Repository\n"
        "from registry_snapshot.record.credentials import DockerCredentials\n"
        "from registry_snapshot.record.mirrors import Mirrors\n"
        "from registry_snapshot.record.recorder import Recorder\n"
        "from registry_snapshot.store.disk import DiskBlobStore\n"
        "root, base = Path(sys.argv[1]), sys.argv[2]\n"
        "mirrors = Mirrors((('docker.io', base),))\n"
        "recorder = Recorder(root / 'record', DiskBlobStore(root / 'blobs'), mirrors, DockerCredentials(),\n"
        "                    (Platform('linux', 'amd64'),))\n"
        "recorder.resolve(Repository.of('docker.io', 'team/app'), '1', client='10.0.0.2', method='HEAD')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, tmp_path, upstream.base_for("docker.io")], check=False, timeout=20)
    assert run.returncode == -signal.SIGKILL
    with (tmp_path / "record" / "pulls.jsonl").open("ab") as file:
        file.write(b'{"time":1.0,"cli')  # torn by the crash
    upstream.tag("team/app:1", second.descriptor)
    recorder = start_recorder()
    assert recorder.resolve(APP, "1", client=NODE, method="HEAD") == first.descriptor
    (image,) = recorder.finish().images
    assert image.descriptor == first.descriptor
    assert len(Journal(tmp_path / "record" / "pulls.jsonl")) == 2


def test_what_was_recorded_before_a_restart_is_in_the_snapshot(start_recorder: Callable[..., Recorder], upstream: FakeUpstream) -> None:
    image = make_image(upstream.blobs, "a")
    upstream.tag("team/app:1", image.descriptor)
    with start_recorder() as first:
        first.resolve(APP, "1", client=NODE, method="HEAD")
    again = start_recorder()
    assert references(again.finish()) == ["docker.io/team/app:1"]
    assert again.finish().images[0].reasons == (Reason(NODE, "HEAD"),)
    with pytest.raises(BlobUnknown):  # still known as a manifest
        again.blob(APP, image.descriptor.digest)


def test_what_comes_after_the_end_is_refused(recorder: Recorder, upstream: FakeUpstream) -> None:
    upstream.tag("team/app:1", make_image(upstream.blobs, "a").descriptor)
    recorder.resolve(APP, "1", client=NODE, method="HEAD")
    recorder.close()
    recorder.close()
    with pytest.raises(RegistryError):
        recorder.resolve(APP, "1", client=NODE, method="HEAD")
    assert recorder.in_flight == 0


def test_two_processes_do_not_record_into_one_directory(start_recorder: Callable[..., Recorder]) -> None:
    start_recorder()
    with pytest.raises(RegistryError, match="another process records"):
        start_recorder()


@pytest.mark.parametrize(
    ("sequence", "recorded"),
    [
        pytest.param(("HEAD 1", "GET root", "GET child"), ["docker.io/team/app:1"], id="containerd by tag"),
        pytest.param(("GET 1", "GET child"), ["docker.io/team/app:1"], id="skopeo"),
        pytest.param(("HEAD root", "GET root", "GET child"), ["docker.io/team/app@root"], id="tag@digest"),
        pytest.param(("GET root", "GET child"), ["docker.io/team/app@root"], id="docker by digest"),
        pytest.param(("HEAD 1", "HEAD root"), ["docker.io/team/app:1", "docker.io/team/app@root"], id="both ways"),
        pytest.param(("HEAD 1", "GET other"), ["docker.io/team/app:1", "docker.io/team/app@other"], id="other platform"),
    ],
)
def test_which_requests_are_images(recorder: Recorder, upstream: FakeUpstream, sequence: tuple[str, ...], recorded: list[str]) -> None:
    child, other = make_image(upstream.blobs, "a", AMD64), make_image(upstream.blobs, "a", ARM64)
    root = make_index(upstream.blobs, {AMD64: child, ARM64: other}, with_type=False)
    upstream.tag("team/app:1", root)
    digests = {"root": root.digest, "child": child.descriptor.digest, "other": other.descriptor.digest}
    for step in sequence:
        method, target = step.split()
        if target in digests:
            media_type, raw = recorder.manifest(APP, digests[target], client=NODE, method=method)
            assert raw == upstream.blobs.read(digests[target])
            assert media_type == (root if target == "root" else child.descriptor).media_type
        else:
            recorder.resolve(APP, target, client=NODE, method=method)
    expected = [name.replace(f"@{short}", f"@{digest}") for name in recorded for short, digest in digests.items() if short in name or ":1" in name]
    assert sorted(set(expected)) == references(recorder.finish())


def test_a_blob_that_no_manifest_named_is_fetched_and_hashed(recorder: Recorder, upstream: FakeUpstream) -> None:
    image = make_image(upstream.blobs, "a")
    upstream.tag("team/app:1", image.descriptor)
    assert read_all(recorder.blob(APP, image.layers[0].digest)) == upstream.blobs.read(image.layers[0].digest)


def test_two_clients_at_once_make_one_transfer(recorder: Recorder, upstream: FakeUpstream) -> None:
    image = make_image(upstream.blobs, "a", layer_sizes=(200_000,))
    upstream.tag("team/app:1", image.descriptor)
    arrived, go = threading.Event(), threading.Event()

    def slow(request: object) -> None:
        if "/blobs/" in getattr(request, "path", ""):
            arrived.set()
            assert go.wait(5)

    upstream.fault = slow
    recorder.resolve(APP, "1", client=NODE, method="HEAD")

    def read(client: int) -> bytes:
        return read_all(recorder.blob(APP, image.layers[0].digest))

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, client) for client in range(4)]
        assert arrived.wait(5)
        go.set()
        assert {reader.result() for reader in readers} == {upstream.blobs.read(image.layers[0].digest)}
    recorder.finish()
    assert len(upstream.paths(str(image.layers[0].digest))) == 1


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (404, ManifestUnknown, ("HTTP 404", "correct the name")),
        (401, UpstreamUnauthorized, ("HTTP 401", "docker login")),
        (403, UpstreamUnauthorized, ("HTTP 403", "docker login")),
        (500, UpstreamError, ("HTTP 500", "run again later")),
        (429, UpstreamError, ("HTTP 429", "docker login")),
        (410, UpstreamError, ("HTTP 410",)),
    ],
)
def test_a_pull_that_fails_upstream_is_named(recorder: Recorder, upstream: FakeUpstream, status: int, error: type[RegistryError], words: tuple[str, ...]) -> None:
    upstream.fault = lambda request: plain(status)
    with pytest.raises(error) as caught:
        recorder.resolve(APP, "1", client=NODE, method="HEAD")
    for word in (*words, "docker.io/team/app:1", upstream.host):
        assert word in str(caught.value)
    (failure,) = recorder.failures()
    assert (str(failure.reference), failure.client) == ("docker.io/team/app:1", NODE)
    assert recorder.finish().images == ()
    assert recorder.in_flight == 0


def test_a_failure_is_forgotten_once_the_pull_succeeds(recorder: Recorder, upstream: FakeUpstream) -> None:
    upstream.tag("team/app:1", make_image(upstream.blobs, "a").descriptor)
    upstream.fault = lambda request: plain(503) if "/blobs/" in request.path else None
    recorder.resolve(APP, "1", client=NODE, method="HEAD")
    settled(recorder)
    assert [str(failure.reference) for failure in recorder.failures()] == ["docker.io/team/app:1"]
    with pytest.raises(RegistryError, match="1 of 1 images are not complete"):
        recorder.finish()
    upstream.fault = None
    recorder.resolve(APP, "1", client=NODE, method="HEAD")
    settled(recorder)
    assert recorder.failures() == ()
    assert len(recorder.finish().images) == 1


def test_wrong_bytes_of_the_right_length_are_rejected_and_not_kept(recorder: Recorder, upstream: FakeUpstream, blobs: DiskBlobStore) -> None:
    image = make_image(upstream.blobs, "a")
    upstream.tag("team/app:1", image.descriptor)
    bad = image.layers[0]
    upstream.fault = lambda request: plain(200, noise("evil", bad.size)) if str(bad.digest) in request.path else None
    recorder.resolve(APP, "1", client=NODE, method="HEAD")
    with pytest.raises((UpstreamCorrupt, GrowthEndedError), match="wrong bytes"):
        read_all(recorder.blob(APP, bad.digest))
    with pytest.raises(RegistryError, match="not complete"):
        recorder.finish()
    assert bad.digest not in blobs
    assert list(blobs.root.glob("blobs/*/.*")) == []


def test_a_transfer_that_breaks_goes_on_where_it_ended(recorder: Recorder, upstream: FakeUpstream, blobs: DiskBlobStore) -> None:
    size = 900_000
    image = make_image(upstream.blobs, "a", layer_sizes=(size,))
    upstream.tag("team/app:1", image.descriptor)
    asked: list[str | None] = []

    def breaks_once(request: object) -> object:
        if str(image.layers[0].digest) not in request.path:  # type: ignore[attr-defined]
            return None
        asked.append(request.headers.get("Range"))  # type: ignore[attr-defined]
        return cut_short(upstream.app.handle(request), size // 2) if len(asked) == 1 else None  # type: ignore[arg-type]

    upstream.fault = breaks_once  # type: ignore[assignment]
    recorder.resolve(APP, "1", client=NODE, method="HEAD")
    recorder.finish()
    assert blobs.size(image.layers[0].digest) == size
    assert asked == [None, f"bytes={size // 2}-"]


def test_an_image_for_other_platforms_only_is_not_complete(recorder: Recorder, upstream: FakeUpstream) -> None:
    index = make_index(upstream.blobs, {ARM64: make_image(upstream.blobs, "a", ARM64)})
    upstream.tag("team/app:1", index)
    recorder.resolve(APP, "1", client=NODE, method="HEAD")
    with pytest.raises(RegistryError, match=r"nothing for linux/amd64; it offers linux/arm64"):
        recorder.finish()


def test_finish_finds_a_blob_that_was_lost(recorder: Recorder, upstream: FakeUpstream, blobs: DiskBlobStore) -> None:
    image = make_image(upstream.blobs, "a")
    upstream.tag("team/app:1", image.descriptor)
    recorder.resolve(APP, "1", client=NODE, method="HEAD")
    settled(recorder)
    blobs.path(image.layers[0].digest).unlink()
    with pytest.raises(RegistryError, match=str(image.layers[0].digest)):
        recorder.finish()


def test_images_that_nobody_pulled_carry_what_listed_them(recorder: Recorder, upstream: FakeUpstream) -> None:
    image = make_image(upstream.blobs, "a")
    upstream.tag("quay.io/team/gpu:2", image.descriptor)
    recorder.add(Reference.parse("quay.io/team/gpu:2"), "images.txt:3")
    recorder.add(Reference.parse(f"quay.io/team/gpu:2@{image.descriptor.digest}"), "chart")
    snapshot = recorder.finish()
    assert references(snapshot) == ["quay.io/team/gpu:2", f"quay.io/team/gpu@{image.descriptor.digest}"]
    assert [i.reasons for i in snapshot.images] == [(Reason("images.txt:3", "LISTED"),), (Reason("chart", "LISTED"),)]
    with pytest.raises(ManifestUnknown):
        recorder.add(Reference.parse("quay.io/team/none:1"), "images.txt:4")
    assert [failure.client for failure in recorder.failures()] == ["images.txt:4"]


def test_content_served_beside_is_not_recorded(tmp_path: Path, recorder: Recorder, upstream: FakeUpstream) -> None:
    files = DiskBlobStore(tmp_path / "files")
    image = make_image(files, "cluster files")
    recorder.serve_also(ImageSet(files, [(Reference.parse("cluster.local/files:1"), image.descriptor)]), "cluster.local")
    repository = Repository.of("cluster.local", "files")
    before = recorder.last_activity
    assert recorder.resolve(repository, "1", client=NODE, method="GET") == image.descriptor
    assert recorder.manifest(repository, image.descriptor.digest, client=NODE, method="HEAD")[1] == files.read(image.descriptor.digest)
    recorder.blob(repository, image.layers[0].digest).close()
    assert recorder.tags(repository) == ("1",)
    assert recorder.last_activity == before
    assert recorder.finish().images == ()
    assert upstream.requests == []


def test_tags_are_those_that_were_asked_for(recorder: Recorder, upstream: FakeUpstream) -> None:
    for tag in ("2", "1"):
        upstream.tag(f"team/app:{tag}", make_image(upstream.blobs, tag).descriptor)
        recorder.resolve(APP, tag, client=NODE, method="GET")
    assert recorder.tags(APP) == ("1", "2")
    with pytest.raises(NameUnknown):
        recorder.tags(Repository.of("docker.io", "team/other"))


def test_a_full_disk_is_said_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, recorder: Recorder, upstream: FakeUpstream, blobs: DiskBlobStore) -> None:
    upstream.tag("team/app:1", make_image(upstream.blobs, "a").descriptor)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("registry_snapshot.store.disk._write", full)
    with pytest.raises(RegistryError, match=r"no space left for .*GB free of"):
        recorder.resolve(APP, "1", client=NODE, method="HEAD")
    assert [path for path in blobs.root.rglob("*") if path.is_file()] == []
    assert len(recorder.failures()) == 1

