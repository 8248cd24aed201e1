"""After any power cut the store has the right bytes or says that they are not there, and what was acknowledged is there."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from registry_snapshot.errors import DigestMismatch
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_MANIFEST
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.frozen import FrozenReferences, read_frozen
from registry_snapshot.record.line_file import LineFile, read_lines
from registry_snapshot.record.recording import REFERENCES, DirectoryLock, RecordingDirectory, write_settings
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.registry_snapshot.images import AMD64, noise
from tests.unit.registry_snapshot.store.power_cut import Disk, Trace

BLOBS = {Digest.of(data): data for data in (noise("one", 1500), noise("two", 700), b"", noise("resumed", 1800))}
SMALL, PARTIAL = [digest for digest in BLOBS if len(BLOBS[digest]) != 1800], Digest.of(noise("resumed", 1800))
MEANINGS = [(Reference.parse(f"quay.io/team/app:{n}"), Descriptor(OCI_MANIFEST, Digest.of(bytes([n])), n)) for n in range(4)]
LINES = [{"n": n, "text": "x" * 150} for n in range(9)]


def record(root: Path, trace: Trace) -> None:
    """What a recorder does: blobs, one of them in two goes, meanings of tags, lines that share a sync."""
    directory = root / "recording"
    lock = DirectoryLock(directory)
    write_settings(directory, (AMD64,))
    trace.acknowledged("settings")
    frozen, lines, store = FrozenReferences(directory / REFERENCES), LineFile(directory / "lines"), DiskBlobStore(root / "store")
    for number, (reference, descriptor) in enumerate(MEANINGS):
        frozen.freeze(reference, descriptor)
        trace.acknowledged(("frozen", reference))
        if number < len(SMALL):
            with store.ingest(SMALL[number]) as writer:
                for at in range(0, len(BLOBS[SMALL[number]]), 400):
                    writer.write(BLOBS[SMALL[number]][at : at + 400])
                writer.commit()
            trace.acknowledged(("blob", SMALL[number]))
        with store.resume(PARTIAL) as writer:
            writer.write(BLOBS[PARTIAL][writer.size : writer.size + 450])
            writer.keep()
    with store.resume(PARTIAL) as writer:
        assert writer.size == len(BLOBS[PARTIAL])
        writer.commit()
    trace.acknowledged(("blob", PARTIAL))
    for begin in range(0, len(LINES), 3):
        numbers = [lines.write(dict(line)) for line in LINES[begin : begin + 3]]
        lines.sync(numbers[1])  # the third is written too, and nobody has asked for it yet
        trace.acknowledged(("lines", begin + 2))
    for file in (frozen, lines, lock):
        file.close()


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    root = tmp_path_factory.mktemp("traced")
    made = Trace(root)
    with pytest.MonkeyPatch.context() as patch, made.recording(patch):
        record(root, made)
    return made


@contextmanager
def after(trace: Trace, count: int, seed: int) -> Iterator[tuple[Path, list[object]]]:
    """What a cut behind the first ``count`` operations may leave, and what had been acknowledged."""
    left = Disk(trace, count, random.Random(seed), block=(512, 4096, 64)[seed % 3])  # noqa: S311 - to be the same each time
    with tempfile.TemporaryDirectory() as name:
        left.materialise(Path(name))
        yield Path(name), left.acknowledged


def check_blobs(root: Path, acknowledged: list[object]) -> None:
    store = DiskBlobStore(root / "store")
    store.sweep()
    for digest, data in BLOBS.items():
        if digest in store:
            assert store.read(digest) == data
        else:
            assert ("blob", digest) not in acknowledged
    for digest in store.digests():
        assert digest in BLOBS


def check_resumed(root: Path) -> None:
    """Whatever is left of a blob that was on its way, it ends as the whole."""
    store = DiskBlobStore(root / "store")
    with store.resume(PARTIAL) as writer:
        try:
            writer.write(BLOBS[PARTIAL][writer.size :])
            writer.commit()
        except DigestMismatch:
            writer.restart()
            writer.write(BLOBS[PARTIAL])
            writer.commit()
    assert store.read(PARTIAL) == BLOBS[PARTIAL]


def check_lines(root: Path, acknowledged: list[object]) -> None:
    """They open; what is there is a beginning of what was written, with everything that was acknowledged; and they go on."""
    directory = root / "recording"
    if not directory.exists():
        assert acknowledged == []
        return
    if "settings" in acknowledged:
        assert RecordingDirectory.open(directory).platforms == (AMD64,)
    told = max([what[1] for what in acknowledged if isinstance(what, tuple) and what[0] == "lines"], default=0)
    expected = [line["n"] for line in LINES]
    for _ in range(2):
        beside = [value["n"] for value in read_lines(directory / "lines")]  # type: ignore[index]
        lines = LineFile(directory / "lines")
        there = [value["n"] for value in lines.load()]  # type: ignore[index]
        assert there == expected[: len(there)] == beside
        assert len(there) >= told
        if len(there) < len(LINES):
            lines.append(dict(LINES[len(there)]))
        lines.close()
    meanings = dict(MEANINGS)
    frozen = FrozenReferences(directory / REFERENCES)
    assert dict(frozen.all()) == {reference: meanings[reference] for reference, _ in frozen.all()}
    assert {reference for reference, _ in frozen.all()} >= {what[1] for what in acknowledged if isinstance(what, tuple) and what[0] == "frozen"}
    frozen.close()
    assert read_frozen(directory / REFERENCES) == dict(frozen.all())


@pytest.mark.parametrize("seed", range(4))
def test_right_bytes_or_none_after_any_cut(trace: Trace, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    for name in ("fsync", "fdatasync"):  # what is made here need not outlive us
        monkeypatch.setattr(os, name, lambda descriptor: None)
    for count in range(len(trace.ops) + 1):
        with after(trace, count, seed * 10_000 + count) as (root, acknowledged):
            check_blobs(root, acknowledged)
            check_lines(root, acknowledged)
            check_resumed(root)


def test_the_simulation_does_lose_what_is_not_synced(tmp_path: Path) -> None:
    """And keeps what is: a test of what the others stand on."""
    root = tmp_path / "root"
    root.mkdir()
    trace = Trace(root)
    with pytest.MonkeyPatch.context() as patch, trace.recording(patch):
        descriptor = os.open(root / "file", os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, b"x" * 2000)
        os.fsync(descriptor)
    lost, kept = set[object](), set[object]()
    for seed in range(40):
        with after(trace, len(trace.ops), seed) as (left, _):
            lost.add((left / "file").exists())
        with after(trace, len(trace.ops) - 1, seed) as (left, _):
            kept.add((left / "file").read_bytes() if (left / "file").exists() else None)
    os.close(descriptor)
    assert lost == {True, False}  # its directory was not synced
    assert len(kept) > 4  # holes, beginnings, nothing
