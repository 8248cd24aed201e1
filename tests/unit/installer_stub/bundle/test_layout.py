"""The stub's one file, told apart into the files of its directory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest

from installer_stub.bundle.layout import Layout, identity
from installer_stub.errors import BundleError
from tests.fakes.frozen_stub import COOKIE, ENTRY, ROWS, Row, frozen

FILES = {"libpython3.13.so.1.0": b"\x7fELF library", "python3.13/lib-dynload/_ssl.so": b"\x7fELF ssl", "base_library.zip": b"PK zip", "nacl/py.typed": b""}
KEPT = tuple(row for row in ROWS if row[0] not in FILES)


def laid_out(stub: bytes, layout: Layout) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for piece in layout.pieces:
        files[piece.path] = files.get(piece.path, b"") + stub[piece.offset : piece.offset + piece.size]
    files["airseal"] += layout.tail
    return files


def test_what_one_file_would_unpack_stands_beside_a_program_that_unpacks_nothing() -> None:
    stub = frozen()
    layout = Layout.of(stub)
    files = laid_out(stub, layout)
    assert {path.removeprefix("_internal/"): content for path, content in files.items() if path != "airseal"} == FILES
    # The bootloader reads the archive as it reads any: what PyInstaller would have made of these rows alone is the same.
    assert files["airseal"] == frozen(KEPT)
    assert layout.identity == identity({path: hashlib.sha256(content).hexdigest() for path, content in files.items()})


def test_every_byte_counts() -> None:
    stub = frozen()
    known = Layout.of(stub)
    *_, table_size, _, _ = COOKIE.unpack(stub[-COOKIE.size :])
    table = len(stub) - COOKIE.size - table_size
    for place in range(len(stub)):
        altered = stub[:place] + bytes((stub[place] ^ 1,)) + stub[place + 1 :]
        try:
            now = Layout.of(altered)
        except BundleError:
            assert place >= table
            continue
        # Where the one file says where its parts are, another text may say the same: then the directory is the same, too.
        assert (now.identity == known.identity) is (laid_out(altered, now) == laid_out(stub, known))
        assert place >= table or now.identity != known.identity


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([*ROWS, ("../evil", b"b", b"x")], "form that cannot be copied"),
        ([*ROWS, ("a//b", b"b", b"x")], "form that cannot be copied"),
        ([*ROWS, ("./b", b"x", b"x")], "form that cannot be copied"),
        ([*ROWS, ("/etc/passwd", b"x", b"x")], "form that cannot be copied"),
        ([*ROWS, ("two words", b"x", b"x")], "form that cannot be copied"),
        ([*ROWS, ("$(id)", b"x", b"x")], "form that cannot be copied"),
        ([*ROWS, ("base_library.zip", b"x", b"other")], "two files of one name"),
        ([*ROWS, ("libssl.so", b"n", b"libssl.so.3")], "whose kind is 'n'"),
        ([*ROWS, ("x", b"Z", b"x")], "whose kind is 'Z'"),
        ([row for row in ROWS if row[1] != b"o"], "does not say where"),
    ],
)
def test_what_cannot_be_laid_out_is_named(rows: Sequence[Row], why: str) -> None:
    with pytest.raises(BundleError, match=why):
        Layout.of(frozen(rows))


@pytest.mark.parametrize("stub", [b"", b"x" * 1000, frozen()[1:60], frozen()[:-1], frozen() + b"x", frozen(deflated=1), COOKIE.pack(b"MEI\x0c\x0b\n\x0b\x0e", 2**32 - 1, 9, 9, 1, b"")])
def test_no_archive_is_no_program(stub: bytes) -> None:
    with pytest.raises(BundleError, match="cannot be laid out on hosts"):
        Layout.of(stub)


@pytest.mark.parametrize("table", [b"\0" * 40, ENTRY.pack(17, 0, 0, 0, 0, b"b"), ENTRY.pack(4096, 0, 0, 0, 0, b"b") + b"\0" * 14, ENTRY.pack(24, 0, 2**31, 2**31, 0, b"b") + b"a\0\0\0\0\0"])
def test_a_torn_table_ends(table: bytes) -> None:
    with pytest.raises(BundleError, match=r"torn table|no room"):
        Layout.of(b"#!stub" + table + COOKIE.pack(b"MEI\x0c\x0b\n\x0b\x0e", len(table) + COOKIE.size, 0, len(table), 313, b""))
