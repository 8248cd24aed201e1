"""The ZIP side of an artifact: where every entry lies, and the exact bytes around it.

An artifact has one possible layout for given entries, so reader and writer share this file: the writer puts these bytes
down, the reader compares. Offsets are from the start of the file, bootloader included; that is why no tool warns of
extra bytes. Entries are stored, dated 1980-01-01, without comments; fields are 64 bits wide only where they must be.

Source: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5.3. Padding: field 0xD935, as Android's zipalign writes it.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

ALIGNMENT: Final = 4096  # of blobs: a page, so that sendfile and reflinks work on whole blocks
END_SIZE: Final = 22
MAX_DIRECTORY: Final = 64 * 1024 * 1024  # about 400 000 entries

_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_END_64 = struct.Struct("<IQHHIIQQQQ")
_LOCATOR_64 = struct.Struct("<IIQI")
_LOCAL_MAGIC, _CENTRAL_MAGIC, _END_MAGIC = 0x04034B50, 0x02014B50, 0x06054B50
_END_64_MAGIC, _LOCATOR_64_MAGIC = 0x06064B50, 0x07064B50
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF
_DATE_1980 = 0x0021
_UNIX = 3 << 8  # "made by": the upper half of the external attributes is a Unix mode
_ZIP64, _PADDING = 0x0001, 0xD935


class ZipFormatError(ValueError):
    """The bytes are not what this format allows; the text says which."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the archive: name, size in bytes, permission bits, and what its first byte's offset must divide by."""

    name: str
    size: int
    mode: int = 0o644
    alignment: int = 1


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry and its place: offset of its local header, and of its first byte."""

    entry: Entry
    header: int
    data: int

    @property
    def end(self) -> int:
        """Offset of the first byte behind it."""
        return self.data + self.entry.size


def alignment_of(name: str) -> int:
    """Return what the data offset of the entry ``name`` is a multiple of."""
    return ALIGNMENT if name.startswith("blobs/") else 1


def place(entries: Sequence[Entry], start: int) -> tuple[Placed, ...]:
    """Lay ``entries`` out one after another from offset ``start``, without a gap."""
    placed = []
    for entry in entries:
        bare = start + _LOCAL.size + len(entry.name) + len(_local_zip64(entry))
        placed.append(Placed(entry, start, bare + _padding(bare, entry.alignment)))
        start = placed[-1].end
    return tuple(placed)


def local_header(item: Placed, crc: int) -> bytes:
    """Return everything from ``item.header`` to ``item.data``."""
    entry = item.entry
    name, wide = entry.name.encode("ascii"), _local_zip64(entry)
    padding = item.data - item.header - _LOCAL.size - len(name) - len(wide)
    extra = wide
    if padding:
        extra += struct.pack("<HHH", _PADDING, padding - 4, entry.alignment).ljust(padding, b"\0")
    size = min(entry.size, _MAX_32)
    version = 45 if wide else 10
    head = _LOCAL.pack(_LOCAL_MAGIC, version, 0, 0, 0, _DATE_1980, crc, size, size, len(name), len(extra))
    return head + name + extra


def directory(placed: Sequence[Placed], crcs: Sequence[int]) -> bytes:
    """Return everything behind the last entry: the central directory and the end records."""
    records = b"".join(_central(item, crc) for item, crc in zip(placed, crcs, strict=True))
    start = placed[-1].end
    tail = b""
    count = len(placed)
    if count >= _MAX_16 or len(records) >= _MAX_32 or start >= _MAX_32:
        tail += _END_64.pack(_END_64_MAGIC, 44, _UNIX | 45, 45, 0, 0, count, count, len(records), start)
        tail += _LOCATOR_64.pack(_LOCATOR_64_MAGIC, 0, start + len(records), 1)
    few = min(count, _MAX_16)
    tail += _END.pack(_END_MAGIC, 0, 0, few, few, min(len(records), _MAX_32), min(start, _MAX_32), 0)
    return records + tail


def read_directory(fd: int, size: int) -> tuple[tuple[Placed, ...], tuple[int, ...]]:
    """Return the entries of the archive that ends at offset ``size``, and the CRC-32 its directory gives each.

    Reads only the end. Raises ZipFormatError for anything that ``place`` and ``directory`` would not have written: a missing
    end, a gap, an overlap, a comment, a compressed entry.
    """
    start = _directory_start(fd, size)
    if not 0 < size - start <= MAX_DIRECTORY:
        raise ZipFormatError("its directory has an impossible size")
    raw = os.pread(fd, size - start, start)
    entries, headers, crcs = _parse(raw)
    if headers[0] + sum(entry.size for entry in entries) > size:
        raise ZipFormatError("its entries are larger than the file")
    placed = place(entries, headers[0])
    if directory(placed, crcs) != raw or placed[-1].end != start:
        raise ZipFormatError("its entries do not follow one another as airseal writes them")
    return placed, crcs


def read_local(fd: int, offset: int) -> Placed | None:
    """Return the small stored entry whose local header is at ``offset``, or None where there is none."""
    head = os.pread(fd, _LOCAL.size, offset)
    if len(head) < _LOCAL.size:
        return None
    magic, _, _, method, _, _, _, size, _, name_length, extra_length = _LOCAL.unpack(head)
    if magic != _LOCAL_MAGIC or method != 0 or size == _MAX_32:
        return None
    name = os.pread(fd, name_length, offset + _LOCAL.size).decode("ascii", "replace")
    data = offset + _LOCAL.size + name_length + extra_length
    return Placed(Entry(name, size), offset, data)


def _directory_start(fd: int, size: int) -> int:
    tail = os.pread(fd, END_SIZE, max(size - END_SIZE, 0))
    if len(tail) < END_SIZE or tail[:4] != _END_MAGIC.to_bytes(4, "little"):
        raise ZipFormatError("its end is missing")
    start = _END.unpack(tail)[6]
    if start != _MAX_32:
        return int(start)
    locator = os.pread(fd, _LOCATOR_64.size, max(size - END_SIZE - _LOCATOR_64.size, 0))
    if len(locator) < _LOCATOR_64.size or locator[:4] != _LOCATOR_64_MAGIC.to_bytes(4, "little"):
        raise ZipFormatError("its 64-bit end is missing")
    end = os.pread(fd, _END_64.size, min(_LOCATOR_64.unpack(locator)[2], size))
    if len(end) < _END_64.size or end[:4] != _END_64_MAGIC.to_bytes(4, "little"):
        raise ZipFormatError("its 64-bit end is missing")
    return int(_END_64.unpack(end)[9])


def _parse(raw: bytes) -> tuple[list[Entry], list[int], tuple[int, ...]]:
    entries, headers, crcs = [], [], []
    at = 0
    while raw[at : at + 4] == _CENTRAL_MAGIC.to_bytes(4, "little") and len(raw) - at >= _CENTRAL.size:
        fields = _CENTRAL.unpack_from(raw, at)
        crc, size, name_length, extra_length, attributes, header = (*fields[7:9], *fields[10:12], *fields[15:17])
        name_at = at + _CENTRAL.size
        at = name_at + name_length + extra_length
        name = raw[name_at : name_at + name_length].decode("ascii", "replace")
        wide = raw[name_at + name_length + 4 : at]
        if size == _MAX_32 and len(wide) >= 16:
            size, wide = int.from_bytes(wide[:8], "little"), wide[16:]
        if header == _MAX_32 and len(wide) >= 8:
            header = int.from_bytes(wide[:8], "little")
        entries.append(Entry(name, size, stat.S_IMODE(attributes >> 16), alignment_of(name)))
        headers.append(header)
        crcs.append(crc)
    if not entries:
        raise ZipFormatError("its directory is empty")
    return entries, headers, tuple(crcs)


def _central(item: Placed, crc: int) -> bytes:
    entry = item.entry
    name = entry.name.encode("ascii", "replace")
    wide = b""
    if entry.size >= _MAX_32:
        wide += struct.pack("<QQ", entry.size, entry.size)
    if item.header >= _MAX_32:
        wide += struct.pack("<Q", item.header)
    extra = struct.pack("<HH", _ZIP64, len(wide)) + wide if wide else b""
    version = 45 if wide else 10
    size = min(entry.size, _MAX_32)
    attributes = (stat.S_IFREG | entry.mode) << 16
    header = min(item.header, _MAX_32)
    fields = (_UNIX | version, version, 0, 0, 0, _DATE_1980, crc, size, size, len(name), len(extra), 0, 0, 0, attributes, header)
    return _CENTRAL.pack(_CENTRAL_MAGIC, *fields) + name + extra


def _local_zip64(entry: Entry) -> bytes:
    # APPNOTE 4.5.3: in a local header the field must hold both sizes, or not be there.
    return struct.pack("<HHQQ", _ZIP64, 16, entry.size, entry.size) if entry.size >= _MAX_32 else b""


def _padding(offset: int, alignment: int) -> int:
    missing = -offset % alignment
    # An extra field is at least 4 bytes of head and 2 of content: with less room it takes one block more.
    return missing + alignment if 0 < missing < 6 else missing
