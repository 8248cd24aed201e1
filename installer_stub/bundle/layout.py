"""The stub as one directory, told from the one file that it is in an artifact: which bytes of it stand where on a host.

Source: PyInstaller 6, ``bootloader/src/pyi_archive.h`` (the archive's table and cookie) and ``pyi_main.c``: an archive whose table
has nothing to unpack is a program of one directory, whose other files are in ``_internal`` beside it. So the same bytes make both.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from installer_stub.errors import BundleError

PROGRAM: Final = "airseal"  # of such a directory
_CONTENTS: Final = "_internal"
_OPTION: Final = f"pyi-contents-directory {_CONTENTS}"
_MAGIC: Final = b"MEI\x0c\x0b\n\x0b\x0e"
_COOKIE: Final = struct.Struct("!8sIIII64s")  # magic, the archive's length, the table's offset and length, Python, its library
_ENTRY: Final = struct.Struct("!IIIIBc")  # this entry's length, offset, length, length unpacked, is it deflated, kind; then its name
_FILES: Final = frozenset(b"bx")  # ARCHIVE_ITEM_BINARY and _DATA: what a one-file program unpacks
_KEPT: Final = frozenset(b"msMoz")  # what the bootloader reads out of the archive itself: modules, scripts, options, PYZ
_NAME: Final = re.compile(r"(?!.*(^|/)\.{0,2}(/|$))[A-Za-z0-9._+/-]{1,200}")
_REMEDY: Final = "make the artifact again, with an airseal of one release"


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the one file, from ``offset``, that come next in the file ``path`` of the directory."""

    path: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What stands in the directory. ``tail`` are the bytes behind the program's pieces: its archive's shorter table, and cookie.

    ``identity`` is the SHA-256, in hex, of what ``sha256sum`` says of all its files, sorted by name: no other directory has it.
    """

    pieces: tuple[Piece, ...]
    tail: bytes
    identity: str

    @classmethod
    def of(cls, stub: bytes) -> Layout:
        """Return the directory for a stub. Raises BundleError for what is no one-file program of ours."""
        program, files, tail = _split(stub)
        inside = tuple(Piece(f"{_CONTENTS}/{name}", offset, size) for name, offset, size in files)
        if len({piece.path for piece in inside}) != len(inside):
            raise strange("has two files of one name")
        hashers = {PROGRAM: hashlib.sha256()}
        for piece in (*program, *inside):
            hashers.setdefault(piece.path, hashlib.sha256()).update(memoryview(stub)[piece.offset : piece.offset + piece.size])
        hashers[PROGRAM].update(tail)
        return cls((*program, *inside), tail, identity({path: hasher.hexdigest() for path, hasher in hashers.items()}))


def identity(sums: dict[str, str]) -> str:
    """Return the identity of a directory, from the SHA-256 of all its files in hex, by path below it."""
    lines = (f"{digest}  ./{path}\n" for path, digest in sorted(sums.items()))
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _split(stub: bytes) -> tuple[tuple[Piece, ...], list[tuple[str, int, int]], bytes]:
    """Return the program's pieces, the other files as name, offset and size, and the program's tail."""
    if len(stub) < _COOKIE.size:
        raise strange("is no program")
    magic, length, table, table_size, python, library = _COOKIE.unpack_from(stub, len(stub) - _COOKIE.size)
    start = len(stub) - length
    if magic != _MAGIC or start < 0 or table + table_size + _COOKIE.size != length:
        raise strange("has no archive at its end")
    pieces = [Piece(PROGRAM, 0, start)]
    files: list[tuple[str, int, int]] = []
    kept, rows, option = 0, bytearray(), False
    for entry_size, offset, size, unpacked, deflated, kind, raw in _entries(stub[start + table : start + table + table_size]):
        name = raw.rstrip(b"\0").decode("ascii", errors="replace")
        if offset + size > table:
            raise strange(f"has no room for {name}")
        if kind in _FILES:
            if deflated or size != unpacked or not _NAME.fullmatch(name):
                raise strange(f"has {name} in a form that cannot be copied")
            files.append((name, start + offset, size))
        elif kind in _KEPT:
            option = option or name == _OPTION
            rows += _ENTRY.pack(entry_size, kept, size, unpacked, deflated, bytes((kind,))) + raw
            kept += size
            _append(pieces, start + offset, size)
        else:
            raise strange(f"has {name}, whose kind is {chr(kind)!r}")
    if not option:
        raise strange("does not say where its other files are")
    return tuple(pieces), files, bytes(rows) + _COOKIE.pack(magic, kept + len(rows) + _COOKIE.size, kept, len(rows), python, library)


def _entries(table: bytes) -> Iterator[tuple[int, int, int, int, int, int, bytes]]:
    place = 0
    while place < len(table):
        if len(table) - place < _ENTRY.size:
            raise strange("has a torn table")
        size, offset, length, unpacked, deflated, kind = _ENTRY.unpack_from(table, place)
        if size <= _ENTRY.size or size > len(table) - place:
            raise strange("has a torn table")
        yield size, offset, length, unpacked, deflated, kind[0], table[place + _ENTRY.size : place + size]
        place += size


def _append(pieces: list[Piece], offset: int, size: int) -> None:
    """Add bytes to the program: to its last piece, where they follow that in the one file too."""
    last = pieces[-1]
    if last.offset + last.size == offset:
        pieces[-1] = Piece(PROGRAM, last.offset, last.size + size)
    elif size:
        pieces.append(Piece(PROGRAM, offset, size))


def strange(what: str) -> BundleError:
    """Return the error for a stub that ``what`` is said of."""
    return BundleError(f"the installer in the artifact cannot be laid out on hosts: it {what}", _REMEDY)
