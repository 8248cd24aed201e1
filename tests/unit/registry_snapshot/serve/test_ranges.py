"""Range, for any text that a client may send. What it is for stands in the contract tests."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.serve.ranges import ByteRange, RangeNotSatisfiable, parse_range

totals = st.integers(1, 2**62)


@given(totals, st.data())
def test_a_range_within_is_exactly_that(total: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, total - 1))
    last = data.draw(st.integers(first, total - 1))
    part = parse_range(f"bytes={first}-{last}", total)
    assert part == ByteRange(first, last - first + 1)
    assert part.content_range(total) == f"bytes {first}-{last}/{total}"
    assert parse_range(f"bytes={first}-", total) == ByteRange(first, total - first)
    assert parse_range(f"bytes=-{total - first}", total) == ByteRange(first, total - first)


@given(totals, st.integers(0, 10**30), st.integers(0, 10**30))
def test_a_range_lies_within_or_is_refused(total: int, first: int, last: int) -> None:
    for header in (f"bytes={first}-{last}", f"bytes={first}-", f"bytes=-{last}"):
        with contextlib.suppress(RangeNotSatisfiable):
            part = parse_range(header, total)
            assert part is not None
            assert 0 <= part.start < part.start + part.size <= total


@pytest.mark.parametrize(("first", "last"), [(9, 3), (1, 0), (10, 20), (10, 10)])
def test_a_range_that_begins_after_its_end_or_the_contents_is_refused(first: int, last: int) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range(f"bytes={first}-{last}", 10)


@given(st.one_of(st.none(), st.text(max_size=30), st.text("bytes=0123456789-, ", max_size=30).map("bytes={}".format)), st.integers(0, 100))
def test_any_text_is_a_range_or_passed_over(header: str | None, total: int) -> None:
    with contextlib.suppress(RangeNotSatisfiable):
        part = parse_range(header, total)
        assert part is None or 0 <= part.start < part.start + part.size <= total


@given(st.text("0123456789-,", max_size=10))
def test_empty_content_is_whole(text: str) -> None:
    assert parse_range(f"bytes={text}", 0) is None


def test_a_number_of_many_digits_is_not_worked_out() -> None:
    """Python refuses to make a number of more than 4300."""
    assert parse_range(f"bytes=0-{'9' * 60_000}", 10) == ByteRange(0, 10)
    assert parse_range(f"bytes={'0' * 60_000}1-2", 10) == ByteRange(1, 2)
