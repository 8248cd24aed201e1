"""SSH's values have one spelling each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer_stub.trust.wire import Reader, WireError, mpint, string


@given(st.binary(max_size=300), st.integers(1, 1 << 600))
def test_it_reads_what_it_writes(text: bytes, number: int) -> None:
    reader = Reader(string(text) + mpint(number))
    assert (reader.string(), reader.mpint()) == (text, number)
    reader.end()


@pytest.mark.parametrize(("number", "raw"), [(1, "00000001 01"), (0x7F, "00000001 7f"), (0x80, "00000002 0080"), (0x9A378F9B2E332A7, "00000008 09a378f9b2e332a7")])
def test_numbers_as_rfc_4251_writes_them(number: int, raw: str) -> None:
    assert mpint(number) == bytes.fromhex(raw)


@pytest.mark.parametrize("raw", ["00000000", "00000001 00", "00000002 0001", "00000001 80", "00000002 01", "000000", "ffffffff 01"])
def test_no_other_spelling_of_a_number_is_read(raw: str) -> None:
    with pytest.raises(WireError):
        Reader(bytes.fromhex(raw)).mpint()


def test_what_is_left_over_is_seen() -> None:
    reader = Reader(string(b"a") + b"b")
    reader.expect(b"a")
    with pytest.raises(WireError, match="more behind"):
        reader.end()
    with pytest.raises(WireError, match="stands where"):
        Reader(string(b"a")).expect(b"b")
