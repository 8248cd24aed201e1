"""Whatever bytes come as an archive: its entries, or ZipFormatError. And entries have one layout."""

from __future__ import annotations

import os
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer_stub.bundle.zip_format import (
    Entry,
    ZipFormatError,
    alignment_of,
    directory,
    local_header,
    place,
    read_directory,
    read_local,
)
from tests.unit.installer_stub.bundle.test_fuzz import EXAMPLES, changed_bytes


def archive(sizes: list[int], start: int = 10) -> tuple[bytes, int]:
    """Return an archive with these entries behind ``start`` bytes, and where its directory begins."""
    entries = [Entry(name, size, 0o644, alignment_of(name)) for name, size in ((f"blobs/sha256/{number:064x}", size) for number, size in enumerate(sizes))]
    placed = place([Entry("oci-layout", 3), *entries], start)
    content = b"".join(local_header(item, 0) + bytes(item.entry.size) for item in placed)
    return bytes(start) + content + directory(placed, [0] * len(placed)), placed[-1].end


ARCHIVE, AT = archive([5, 0, 4000])
# An end that is 64 bits wide, for sizes that nobody has on a disk; its content is not there.
WIDE = place([Entry("a", 2**33), Entry("b", 1)], 2**34)
WIDE_END = directory(WIDE, [0, 0])


def read_archive(raw: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.flush()
        try:
            placed, crcs = read_directory(file.fileno(), len(raw))
        except ZipFormatError:
            pass
        else:
            assert raw.endswith(directory(placed, crcs))
        for offset in (0, 10, len(raw) // 2, len(raw) + 5):
            found = read_local(file.fileno(), offset)
            assert found is None or found.entry.size >= 0


@EXAMPLES
@given(st.binary(max_size=300) | changed_bytes(ARCHIVE) | changed_bytes(ARCHIVE[AT:]) | changed_bytes(WIDE_END) | changed_bytes(ARCHIVE[AT:]).map(lambda end: ARCHIVE[:AT] + end))
def test_any_archive(raw: bytes) -> None:
    read_archive(raw)


def test_numbers_of_a_directory_that_are_as_large_as_they_can_be() -> None:
    for whole in (ARCHIVE, WIDE_END):
        begin = AT if whole is ARCHIVE else 0
        for at in range(begin, len(whole)):
            for other in (b"\xff", b"\xff\xff", b"\xff" * 4, b"\xff" * 8, b"\0" * 8, b"\xff" * 7 + b"\x7f"):
                read_archive(whole[:at] + other + whole[at + len(other) :])


def test_a_directory_larger_than_its_file_says_so() -> None:
    """Sixty entries of nearly 2**63 bytes: their offsets have more than 64 bits."""
    records = directory(place([Entry("a", 2**62)], 0), [0])[:-98]
    raw = records * 60
    end = directory(place([Entry("a", 1)], 0), [0])[-22:]
    with tempfile.TemporaryFile() as file:
        os.write(file.fileno(), raw + end[:16] + (0).to_bytes(4, "little") + end[20:])
        with pytest.raises(ZipFormatError, match="larger than the file"):
            read_directory(file.fileno(), len(raw) + 22)
