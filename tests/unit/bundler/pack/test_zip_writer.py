"""What is written is what its digest says, read once and hashed from the memory that is written; anything else leaves nothing."""

from __future__ import annotations

import hashlib
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.pack import zip_writer
from bundler.pack.hashers import PIECE, Hashers
from bundler.pack.zip_writer import Source, write_archive
from installer_stub.bundle.zip_format import Entry
from registry_snapshot.errors import BlobUnknown, DigestMismatch
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.base import Extent

PROGRAM = b"#!/bin/sh\nexit 0\n"


def source(name: str, data: bytes, *, says: bytes | None = None, there: bytes | None = None, where: Path) -> Source:
    """An entry that should be ``data``; ``says``: whose digest it has; ``there``: what lies where it comes from."""
    file = where / name
    file.write_bytes(data if there is None else there)
    content = data if says is None else says
    return Source(Entry(name, len(data)), Digest("sha256", hashlib.sha256(content).hexdigest()), opener(file))


def opener(file: Path) -> Callable[[], Extent]:
    return lambda: Extent(os.open(file, os.O_RDONLY), 0, file.stat().st_size)


def write(tmp_path: Path, *sources: Source) -> tuple[Path, str]:
    program = tmp_path / "program"
    program.write_bytes(PROGRAM)
    target = tmp_path / "out.run"
    return target, write_archive(target, program, sources, lambda *_: None)


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 9 * PIECE + 17])
def test_sizes_around_a_piece(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    target, sha256 = write(tmp_path, source("a", data, where=tmp_path), source("b", b"end", where=tmp_path))
    raw = target.read_bytes()
    assert (raw.startswith(PROGRAM), hashlib.sha256(raw).hexdigest()) == (True, sha256)
    with zipfile.ZipFile(target) as file:
        assert (file.testzip(), file.read("a"), file.read("b")) == (None, data, b"end")


def test_more_entries_than_buffers(tmp_path: Path) -> None:
    sources = [source(f"{number}", os.urandom(number), where=tmp_path) for number in range(3 * 24)]
    with zipfile.ZipFile(write(tmp_path, *sources)[0]) as file:
        assert (file.testzip(), len(file.namelist())) == (None, len(sources))


@pytest.mark.parametrize(
    "there",
    [b"x" * (3 * PIECE), b"x" * (3 * PIECE - 1), b"x" * (3 * PIECE + 1), b"", b"x" * (3 * PIECE - 1) + b"y"],
    ids=["all other", "shorter", "longer", "empty", "its last byte"],
)
def test_what_is_not_its_digest_leaves_nothing(tmp_path: Path, there: bytes) -> None:
    data = os.urandom(3 * PIECE) if there[:1] == b"x" and there[-1:] == b"x" else b"x" * (3 * PIECE)
    with pytest.raises(DigestMismatch, match="bad should be 3145728 bytes"):
        write(tmp_path, source("bad", data, there=there, where=tmp_path))
    assert not list(tmp_path.glob("*.run")) + list(tmp_path.glob(".*.part"))


def test_a_wrong_entry_stops_before_the_rest_is_copied(tmp_path: Path) -> None:
    wrong = source("wrong", b"a" * PIECE, says=b"other", where=tmp_path)
    large = source("large", os.urandom(64 * PIECE), where=tmp_path)
    program = tmp_path / "program"
    program.write_bytes(PROGRAM)
    heard: list[int] = []
    with pytest.raises(DigestMismatch, match="wrong should be"):
        write_archive(tmp_path / "out.run", program, [wrong, large], lambda count, _: heard.append(count))
    assert sum(heard) < 32 * PIECE


def test_what_changes_between_its_two_readings_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first reading is for the CRC-32 that stands before it: here it saw something else than what is written."""
    data, real, seen = os.urandom(2 * PIECE), os.preadv, 0

    def flip(fd: int, buffers: list[memoryview], at: int) -> int:
        nonlocal seen
        count, seen = real(fd, buffers, at), seen + 1
        if seen == 1:
            buffers[0][7] ^= 1
        return count

    monkeypatch.setattr(zip_writer.os, "preadv", flip)
    with pytest.raises(DigestMismatch, match="its source holds something else"):
        write(tmp_path, source("a", data, where=tmp_path))
    monkeypatch.undo()
    assert not list(tmp_path.glob("*.run")) + list(tmp_path.glob(".*.part"))


def test_what_is_read_ahead_and_is_not_there_is_named_when_it_is_its_turn(tmp_path: Path) -> None:
    def lost() -> Extent:
        raise BlobUnknown("the blob is gone", "build again")

    fine = source("fine", b"x" * 100, where=tmp_path)
    heard: list[int] = []
    program = tmp_path / "program"
    program.write_bytes(PROGRAM)
    with pytest.raises(BlobUnknown, match="is gone"):
        write_archive(tmp_path / "out.run", program, [fine, Source(Entry("lost", 1), Digest.of(b"y"), lost)], lambda count, _: heard.append(count))
    assert sum(heard) >= 100
    assert not list(tmp_path.glob("*.run")) + list(tmp_path.glob(".*.part"))


def test_no_thread_is_left_by_an_interruption(tmp_path: Path) -> None:
    def interrupt(count: int, _: int) -> None:
        if count == PIECE:
            raise KeyboardInterrupt

    program = tmp_path / "program"
    program.write_bytes(PROGRAM)
    with pytest.raises(KeyboardInterrupt):
        write_archive(tmp_path / "out.run", program, [source("a", os.urandom(4 * PIECE), where=tmp_path)], interrupt)
    assert {thread.name for thread in threading.enumerate()}.isdisjoint({"hash-file", "hash-entries", "crc_0"})
    assert not list(tmp_path.glob("*.run")) + list(tmp_path.glob(".*.part"))


def test_buffers_come_back_after_an_error_and_it_is_heard() -> None:
    def fail() -> None:
        raise DigestMismatch("not this", "do that")

    def go_on(hashers: Hashers) -> None:
        for _ in range(100):
            buffer = hashers.buffer()
            hashers.take(buffer, hashlib.sha256(), buffer)

    with Hashers() as hashers:
        hashers.then(fail)
        with pytest.raises(DigestMismatch):
            go_on(hashers)
        with pytest.raises(DigestMismatch):
            hashers.end()
