"""The archive's geometry: aligned, without gaps, and readable past 4 GiB."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer_stub.bundle.zip_format import (
    Entry,
    Placed,
    ZipFormatError,
    alignment_of,
    directory,
    local_header,
    place,
    read_directory,
)

GIB = 1 << 30


def write_sparse(path: Path, placed: tuple[Placed, ...], crcs: list[int]) -> None:
    """Write headers and directory; contents stay holes."""
    with path.open("wb") as file:
        for item, crc in zip(placed, crcs, strict=True):
            os.pwrite(file.fileno(), local_header(item, crc), item.header)
        os.pwrite(file.fileno(), directory(placed, crcs), placed[-1].end)


def blob(number: int, size: int) -> Entry:
    name = f"blobs/sha256/{number:064x}"
    return Entry(name, size, 0o644, alignment_of(name))


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=20), st.integers(0, 200_000))
def test_blobs_are_aligned_and_nothing_lies_between_entries(sizes: list[int], start: int) -> None:
    placed = place([Entry("oci-layout", 30), *(blob(number, size) for number, size in enumerate(sizes))], start)
    assert placed[0].header == start
    for item, following in itertools.pairwise(placed):
        assert following.header == item.end
    for item in placed[1:]:
        assert item.data % 4096 == 0
        assert len(local_header(item, 0)) == item.data - item.header


@pytest.mark.parametrize(
    "sizes",
    [[10, 5 * GIB, 20], [4 * GIB - 1, 1], [4 * GIB - 2, 1], [3 * GIB, 3 * GIB, 0], [0]],
    ids=["one large", "exactly 32 bits", "one less", "far offsets", "empty"],
)
def test_sizes_and_offsets_past_32_bits_come_back(tmp_path: Path, sizes: list[int]) -> None:
    entries = [blob(number, size) for number, size in enumerate(sizes)]
    placed = place([*entries, Entry("stub.pkg", 7)], 70_000)
    path = tmp_path / "big.zip"
    write_sparse(path, placed, [0] * len(placed))
    with path.open("rb") as file:
        assert read_directory(file.fileno(), path.stat().st_size) == (placed, (0,) * len(placed))
    with zipfile.ZipFile(path) as archive:
        assert [(info.filename, info.file_size, info.header_offset) for info in archive.infolist()] == [
            (item.entry.name, item.entry.size, item.header) for item in placed
        ]
        with archive.open("stub.pkg") as stream:  # zipfile compares the local header here
            assert stream.read(0) == b""
    # Info-ZIP 6.00 takes a size of exactly 2**32 - 1 for "see the extra field" in the entry behind it, too.
    if shutil.which("zipinfo") and (1 << 32) - 1 not in sizes:
        done = subprocess.run(["zipinfo", path], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_more_entries_than_16_bits_count_come_back(tmp_path: Path) -> None:
    placed = place([Entry(f"airseal/{number}", 0) for number in range(65_600)], 10)
    path = tmp_path / "many.zip"
    path.write_bytes(b"x" * 10 + b"".join(local_header(item, 0) for item in placed) + directory(placed, [0] * len(placed)))
    with path.open("rb") as file:
        assert len(read_directory(file.fileno(), path.stat().st_size)[0]) == 65_600
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 65_600


def test_what_the_writer_would_not_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "compressed.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", "b" * 100)
    with path.open("rb") as file, pytest.raises(ZipFormatError, match="do not follow"):
        read_directory(file.fileno(), path.stat().st_size)
