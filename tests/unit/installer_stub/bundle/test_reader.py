"""An artifact opens in no time, gives back what was sealed, and says what is wrong with it when something is."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path

import pytest

from installer_stub.bundle import verify
from installer_stub.bundle.documents import encode_lock
from installer_stub.bundle.reader import Bundle
from installer_stub.errors import BundleError
from registry_snapshot.errors import BlobUnknown
from registry_snapshot.oci.digest import Digest
from tests.unit.installer_stub.bundle.sealed import Ingredients


def problem_of(data: bytes, tmp_path: Path) -> str:
    """Open and verify a file with this content and return the complaint, "" for none."""
    path = tmp_path / "x.run"
    path.write_bytes(data)
    try:
        with Bundle.open(path) as bundle:
            bundle.verify()
    except BundleError as error:
        return error.problem.replace(str(tmp_path), "") if error.remedy else "no remedy"
    return ""


def test_everything_that_was_sealed_comes_back(made: Ingredients, run_file: Path) -> None:
    with Bundle.open(run_file) as bundle:
        assert bundle.info == made.info
        assert list(bundle.info.environment) == ["B", "A"]
        assert encode_lock(bundle.lock) == encode_lock(made.lock)
        assert dict(bundle.images()) == dict(made.images)
        assert sorted(bundle.cluster_files(), key=lambda file: file.path) == sorted(made.files, key=lambda file: file.path)
        assert bundle.blobs.digests() == tuple(made.digests)
        for digest in made.digests:
            with bundle.blobs.open(digest) as extent, made.store.open(digest) as original:
                assert extent.read(extent.size) == original.read(original.size)
                assert extent.offset % 4096 == 0
                assert bundle.blobs.size(digest) == original.size


def test_the_stub_inside_is_the_runtime_byte_for_byte(made: Ingredients, run_file: Path) -> None:
    with Bundle.open(run_file) as bundle:
        with bundle.stub_stream() as stream:
            data = stream.read()
        assert data == made.runtime.bootloader.read_bytes() + made.runtime.package.read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (bundle.stub_size, bundle.stub_digest)
        with bundle.stream() as whole:
            assert whole.read() == run_file.read_bytes()


def test_what_came_out_of_a_bundle_outlives_it(run_file: Path, made: Ingredients) -> None:
    with Bundle.open(run_file) as bundle:
        extent = bundle.blobs.open(made.digests[0])
    with extent:
        assert Digest.of(extent.read(extent.size)) == made.digests[0]


def test_an_unknown_blob_is_named(run_file: Path) -> None:
    with Bundle.open(run_file) as bundle, pytest.raises(BlobUnknown, match="e3b0c44298fc1c14"):
        bundle.blobs.open(Digest.parse("sha512:" + "e3b0c44298fc1c14" * 8))


def test_opening_reads_only_the_end(run_file: Path) -> None:
    begun = time.perf_counter()
    Bundle.open(run_file).close()
    assert time.perf_counter() - begun < 0.05


def test_other_tools_read_it_as_a_zip_archive(run_file: Path, made: Ingredients) -> None:
    with zipfile.ZipFile(run_file) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names[:3] == ["oci-layout", "index.json", "airseal/bundle.json"]
        assert names[-1] == "stub.pkg"
        assert names[4:-1] == sorted(names[4:-1])
        assert all(info.date_time == (1980, 1, 1, 0, 0, 0) and info.external_attr >> 16 == 0o100644 for info in archive.infolist())
        assert len(names) == len(made.digests) + 5
    for command in (["unzip", "-tq"], ["zipinfo", "-t"]):
        if shutil.which(command[0]):
            done = subprocess.run([*command, run_file], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")
            assert "warning" not in done.stdout.lower()


def test_verify_counts_every_byte_and_names_the_bundle_by_its_document(run_file: Path) -> None:
    moved: list[int] = []
    with Bundle.open(run_file) as bundle:
        verified = bundle.verify(moved.append)
        assert verified.digest == bundle.digest == Digest.of(bundle.read("airseal/bundle.json"))
        assert (verified.size, verified.entries) == (run_file.stat().st_size, len(bundle.names()))
        assert verified.sha256 == hashlib.sha256(run_file.read_bytes()).hexdigest()
        assert sum(moved) == run_file.stat().st_size


@pytest.mark.parametrize("piece", [4095, 4096, 10_007, 100_000])
def test_a_file_is_the_same_in_pieces_of_any_size(run_file: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    reads: list[int] = []
    real = os.preadv

    def short(fd: int, buffers: list[memoryview], offset: int) -> int:
        reads.append(offset)
        return real(fd, [buffers[0][: len(buffers[0]) // 2 + 1]], offset)  # a read may give less than was asked for

    monkeypatch.setattr(verify, "PIECE", piece)
    monkeypatch.setattr(verify.os, "preadv", short)
    with Bundle.open(run_file) as bundle:
        assert bundle.verify().sha256 == hashlib.sha256(run_file.read_bytes()).hexdigest()
    assert reads == sorted(set(reads))  # once, from the first byte to the last


def test_what_bundle_json_said_at_first_is_what_it_has_to_stay(run_file: Path, tmp_path: Path) -> None:
    """A stick may answer differently the second time, and CRC-32 can be made to fit."""
    path = tmp_path / "x.run"
    shutil.copy(run_file, path)
    with Bundle.open(path) as bundle:
        place, crc = bundle.place_of("airseal/bundle.json"), zlib.crc32
        altered = bundle.read("airseal/bundle.json").replace(b'"shop"', b'"evil"')
        with path.open("r+b") as file:
            file.seek(place.data)
            file.write(altered)
        bundle._entries["airseal/bundle.json"] = (place, crc(altered))
        bundle._crcs = tuple(crc(altered) if each == place else old for each, old in zip(bundle._placed, bundle._crcs, strict=True))
        with pytest.raises(BundleError, match=r"airseal/bundle\.json is not sha256:"):
            bundle.read("airseal/bundle.json")
        with pytest.raises(BundleError, match=r"airseal/bundle\.json is not sha256:"):
            bundle.verify()


def test_a_torn_file_says_how_much_is_missing(run_file: Path, tmp_path: Path) -> None:
    whole = run_file.read_bytes()
    with Bundle.open(run_file) as bundle:
        head = bundle.place_of("airseal/bundle.json").end
    assert problem_of(b"", tmp_path) == "/x.run is empty"
    for length in (1, 1000, 7900):
        assert "is no airseal artifact" in problem_of(whole[:length], tmp_path)
    for length in (8000, head - 2):
        assert "cut short or altered" in problem_of(whole[:length], tmp_path)
    for length in (head, head + 1, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        assert problem_of(whole[:length], tmp_path) == f"/x.run is cut short: {length} of {len(whole)} bytes are there"


@pytest.mark.parametrize("where", ["before", "between", "behind", "in a comment"])
def test_added_bytes_are_rejected_wherever_they_are(run_file: Path, tmp_path: Path, where: str) -> None:
    whole = run_file.read_bytes()
    with Bundle.open(run_file) as bundle:
        middle = bundle.place_of("stub.pkg").header
    altered = {
        "before": b"#!/bin/sh\n" + whole,
        "between": whole[:middle] + b"\0" + whole[middle:],
        "behind": whole + b"\0",
        "in a comment": whole[:-2] + b"\1\0x",
    }[where]
    assert "longer than it was sealed" in problem_of(altered, tmp_path)


def test_a_flipped_bit_is_found_wherever_it_is(run_file: Path, tmp_path: Path) -> None:
    whole = run_file.read_bytes()
    with Bundle.open(run_file) as bundle:
        places = [bundle.place_of(name) for name in bundle.names()]
    offsets = {0, 5000, len(whole) - 1, len(whole) - 21, places[-1].end + 30}
    for place in places:
        offsets |= {place.header, place.header + 14, place.header + 31, place.data - 1, place.data, place.end - 1}
    for offset in sorted(offsets):
        altered = bytearray(whole)
        altered[offset] ^= 0x10
        assert problem_of(bytes(altered), tmp_path), offset


def test_padding_may_hold_nothing(run_file: Path, tmp_path: Path) -> None:
    with Bundle.open(run_file) as bundle:
        place = next(place for name in bundle.names() if (place := bundle.place_of(name)).data - place.header > 1000)
    altered = bytearray(run_file.read_bytes())
    altered[place.data - 500 : place.data - 490] = b"smuggled!!"
    assert "are not its header and padding" in problem_of(bytes(altered), tmp_path)


def test_files_that_are_something_else_are_called_what_they_are(tmp_path: Path, made: Ingredients) -> None:
    foreign = tmp_path / "foreign.zip"
    with zipfile.ZipFile(foreign, "w") as archive:
        archive.writestr("a", "b")
    bare = made.runtime.open().read()
    assert "is a ZIP archive, but no airseal artifact" in problem_of(foreign.read_bytes(), tmp_path)
    assert "is the installer alone" in problem_of(bare, tmp_path)
    assert "is no airseal artifact" in problem_of(b"hello", tmp_path)
    with pytest.raises(BundleError, match="cannot be opened: No such file"):
        Bundle.open(tmp_path / "missing")
    with pytest.raises(BundleError, match="Is a directory"):
        Bundle.open(tmp_path)


def test_a_zip_that_imitates_an_artifact_is_rejected(run_file: Path, tmp_path: Path) -> None:
    imitation = tmp_path / "imitation.run"
    with zipfile.ZipFile(run_file) as source, zipfile.ZipFile(imitation, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert problem_of(imitation.read_bytes(), tmp_path)


def test_the_running_program_has_a_bundle_or_says_that_it_has_none(monkeypatch: pytest.MonkeyPatch, run_file: Path) -> None:
    with pytest.raises(BundleError, match="there is no bundle in this program"):
        Bundle.open()
    monkeypatch.setattr(sys, "executable", str(run_file))
    with Bundle.open() as bundle:
        assert bundle.path == run_file


def test_damage_without_any_structure_never_ends_in_a_traceback(run_file: Path, tmp_path: Path) -> None:
    whole = run_file.read_bytes()
    for filler in (b"\0", b"\xff"):
        for begin in range(0, len(whole), len(whole) // 12):
            altered = whole[:begin] + filler * 3000 + whole[begin + 3000 :]
            assert problem_of(altered, tmp_path)
