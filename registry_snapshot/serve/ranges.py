"""The ``Range`` header: one range of bytes.

Source: RFC 9110 section 14. A header that is not understood is ignored, as 14.2 says; several ranges at once are
answered with the whole, which 14.2 allows too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII | re.IGNORECASE)
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
    """The range begins after the end: status 416."""


def parse_range(header: str | None, total: int) -> ByteRange | None:
    """Return the range of ``total`` bytes that is asked for, or None to answer with the whole. Raises RangeNotSatisfiable.

    Empty content is answered whole: some clients send ``bytes=0-`` with every request (containerd 2.1).
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or total == 0:
        return None
    first, last = match.groups()
    if not (first or last) or max(len(first), len(last)) > _DIGITS:
        return None
    if not first:  # the last n bytes
        size = min(int(last), total)
        if size == 0:
            raise RangeNotSatisfiable(header)
        return ByteRange(total - size, size)
    start, end = int(first), min(int(last), total - 1) if last else total - 1
    if last and int(last) < start:
        return None
    if start >= total:
        raise RangeNotSatisfiable(header)
    return ByteRange(start, end - start + 1)
