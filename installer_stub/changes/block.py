"""Our marked lines in a file of others, on its bytes: whatever the other lines are written in, they stay as they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

BEGIN: Final = b"# airseal begin"
END: Final = b"# airseal end"


def without_block(data: bytes, word: bytes = b"") -> bytes:
    """Return ``data`` without any block of ours, and without lines that have ``word`` as a word.

    Lines end with LF alone. Of a block that was torn, with a beginning and no end, only the marker is ours, and such lines.
    """
    lines = _lines(data)
    kept: list[bytes] = []
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        if line == BEGIN:
            at = _end(lines, at) + 1
            continue
        if line != END and not (word and word in lines[at].split()):
            kept.append(lines[at])
        at += 1
    return b"".join(kept)


def with_block(data: bytes, lines: Iterable[bytes]) -> bytes:
    """Return ``data`` with one block of ours at its end."""
    rest = without_block(data)
    if rest and not rest.endswith(b"\n"):
        rest += b"\n"
    return rest + b"".join(line + b"\n" for line in (BEGIN, *lines, END))


def _end(lines: list[bytes], begin: int) -> int:
    for place in range(begin + 1, len(lines)):
        if lines[place].strip() == END:
            return place
        if lines[place].strip() == BEGIN:
            break
    return begin


def _lines(data: bytes) -> list[bytes]:
    pieces = data.split(b"\n")
    lines = [piece + b"\n" for piece in pieces[:-1]]
    return [*lines, pieces[-1]] if pieces[-1] else lines
