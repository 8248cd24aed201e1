"""The ``Range`` header: one range of bytes.

Source: RFC 9110 section 14. A header that is not understood is ignored, as 14.2 says; several ranges at once are
answered with the whole, which 14.2 allows too. A range that ends before it begins may be ignored or rejected (14.2;
15.5.17 names "invalid ranges" among the reasons for 416). We reject: the conformance suite counts 416 as support of
ranges and 200 as none, and Go's net/http, which most registries serve with, answers 416 as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNIT = re.compile(r"\s*bytes\s*=(.*)", re.ASCII | re.IGNORECASE)
_RANGE = re.compile(r"(\d*)\s*-\s*(\d*)", re.ASCII)
_DIGITS = 19  # no file is longer than 2**63 bytes; longer numbers are not worth parsing


@dataclass(frozen=True, slots=True)
class ByteRange:
    """``size`` bytes from ``start``."""

    start: int
    size: int

    def content_range(self, total: int) -> str:
        """Return the value of ``Content-Range`` for content of ``total`` bytes."""
        return f"bytes {self.start}-{self.start + self.size - 1}/{total}"


class RangeNotSatisfiable(ValueError):
    """The range begins after the end, or ends before its beginning: status 416."""


def parse_range(header: str | None, total: int) -> ByteRange | None:
    """Return the range of ``total`` bytes that is asked for, or None to answer with the whole. Raises RangeNotSatisfiable.

    Empty content is answered whole: some clients send ``bytes=0-`` with every request (containerd 2.1).
    """
    match = _only_range(header) if header else None
    if match is None or total == 0:
        return None
    first, last = _number(match[1]), _number(match[2])
    if first is None:
        if last is None:
            return None
        if last == 0:
            raise RangeNotSatisfiable(header)
        size = min(last, total)  # the last n bytes
        return ByteRange(total - size, size)
    if first >= total or (last is not None and last < first):
        raise RangeNotSatisfiable(header)
    end = total - 1 if last is None else min(last, total - 1)
    return ByteRange(first, end - first + 1)


def _only_range(header: str) -> re.Match[str] | None:
    unit = _UNIT.fullmatch(header)
    # Empty elements of a list count for nothing: section 5.6.1.2.
    parts = [part for part in unit[1].split(",") if part.strip()] if unit else []
    return _RANGE.fullmatch(parts[0].strip()) if len(parts) == 1 else None


def _number(text: str) -> int | None:
    if not text:
        return None
    digits = text.lstrip("0")
    return int(digits or "0") if len(digits) <= _DIGITS else 10**_DIGITS
