"""A stub as PyInstaller makes one, of a few bytes: a bootloader and an archive of what one file unpacks and what stays in it."""

from __future__ import annotations

import struct
from collections.abc import Sequence

COOKIE = struct.Struct("!8sIIII64s")
ENTRY = struct.Struct("!IIIIBc")
MAGIC = b"MEI\x0c\x0b\n\x0b\x0e"
Row = tuple[str, bytes, bytes]  # name, kind, content
ROWS: tuple[Row, ...] = (
    ("struct", b"m", b"module"),
    ("__main__", b"s", b"script"),
    ("libpython3.13.so.1.0", b"b", b"\x7fELF library"),
    ("python3.13/lib-dynload/_ssl.so", b"b", b"\x7fELF ssl"),
    ("pyi-contents-directory _internal", b"o", b""),
    ("base_library.zip", b"x", b"PK zip"),
    ("nacl/py.typed", b"x", b""),
    ("PYZ.pyz", b"z", b"PYZ modules"),
)


def frozen(rows: Sequence[Row] = ROWS, *, bootloader: bytes = b"#!stub", deflated: int = 0) -> bytes:
    data, table = b"", b""
    for name, kind, content in rows:
        raw = name.encode() + b"\0"
        raw += b"\0" * (-(ENTRY.size + len(raw)) % 16)
        table += ENTRY.pack(ENTRY.size + len(raw), len(data), len(content), len(content), deflated, kind) + raw
        data += content
    cookie = COOKIE.pack(MAGIC, len(data) + len(table) + COOKIE.size, len(data), len(table), 313, b"libpython3.13.so.1.0")
    return bootloader + data + table + cookie
