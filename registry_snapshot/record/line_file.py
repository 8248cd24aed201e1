"""LineFile: JSON values in a file, one on each line, appended and never changed. What was synced survives a power cut.

Each line ends with two members of ours: how far the file was on the disk when it was written, and a CRC-32 of all before
it. Lines share syncs, and what was written since the last one may reach the disk in any order, with holes of zeros. So what
follows the last good line is cut off, unless a good line says that it had been on the disk already: then it is damage,
and is named. That is the rule of etcd's write-ahead log (server/storage/wal), which has a file of one writer too.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import zlib
from pathlib import Path
from typing import Final

from registry_snapshot.errors import StoreError
from registry_snapshot.store.durable import sync_directory
from registry_snapshot.store.faults import store_error

_SYNCED: Final = "synced"
_CRC: Final = "crc"
_END: Final = re.compile(rb',"crc":"([0-9a-f]{8})"}')
_END_LENGTH: Final = 18


def read_lines(path: Path) -> list[object]:
    """Return every value of a file that another process may be writing; none where there is no file. Changes nothing.

    What is torn at the end, or not whole yet, is left out. Raises StoreError.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise store_error(error, path) from error
    return _good_lines(raw, path)[0]


def damaged_line(path: Path, number: int) -> StoreError:
    """Return the error for a line that cannot be understood."""
    return StoreError(f"{path}:{number} is damaged", f"remove that line, or all of {path.parent}, and record again")


class LineFile:
    """The file at ``path``, made if it is not there. Safe for threads; one process at a time. Raises StoreError.

    A sync that fails ends it: what was not synced is cut off, and nothing is added any more. The kernel may take pages for
    clean that it could not write, so a second sync that succeeds proves nothing (PostgreSQL's "fsyncgate" of 2018).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._syncing = threading.Lock()
        self._written = self._synced = 0
        self._broken = False
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(path, flags, 0o644)
            self._end = os.fstat(self._descriptor).st_size
            self._synced_end = 0
            sync_directory(path.parent)
        except OSError as error:
            raise store_error(error, path) from error

    def load(self) -> list[object]:
        """Return every value, on the disk from then on. What a crash has torn is cut off the file. Raises StoreError."""
        try:
            raw = self.path.read_bytes()
            values, length = _good_lines(raw, self.path)
            if length != len(raw):
                os.ftruncate(self._descriptor, length)
            os.fdatasync(self._descriptor)  # a killed process may have left lines that only the kernel has
        except OSError as error:
            raise store_error(error, self.path) from error
        self._end = self._synced_end = length
        return values

    def append(self, value: dict[str, object]) -> None:
        """Add one value; it is on the disk when this returns. Raises StoreError."""
        self.sync(self.write(value))

    def write(self, value: dict[str, object]) -> int:
        """Add one value and return its number; after ``sync`` of that number it is on the disk. Raises StoreError."""
        with self._lock:
            line = _sealed({**value, _SYNCED: self._synced_end})
            self._write(line)
            self._end += len(line)
            self._written += 1
            return self._written

    def sync(self, number: int) -> None:
        """Return when the value with ``number`` is on the disk. Raises StoreError."""
        # Threads that wait here for one sync are all served by the next: a hundred pulls at once cost two, not a hundred.
        with self._syncing:
            if self._synced >= number:
                return
            with self._lock:
                self._check_open()
                upto, end = self._written, self._end
            try:
                os.fdatasync(self._descriptor)
            except OSError as error:
                self._break()
                raise store_error(error, self.path) from error
            self._synced, self._synced_end = upto, end

    def close(self) -> None:
        """Close the file. May be called twice."""
        with self._syncing, self._lock:
            self._close()

    def _write(self, line: bytes) -> None:
        self._check_open()
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except OSError as error:
            # A disk that is full takes half a line; the next one, when there is room again, must not be glued to it.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
            raise store_error(error, self.path) from error

    def _break(self) -> None:
        """Let a process that opens the file anew see no more than this one has answered."""
        with self._lock:
            self._broken = True
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._synced_end)
                os.fdatasync(self._descriptor)
            self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _check_open(self) -> None:
        if self._broken:
            raise StoreError(f"the disk under {self.path} has failed, and nothing more is added to it", "look at the disk (dmesg), then record again")
        if self._descriptor < 0:
            raise StoreError(f"nothing can be added to {self.path}: the recording has ended", "record again")


def _sealed(value: dict[str, object]) -> bytes:
    """Return the line of ``value``, whose last member is the CRC-32 of all before it."""
    head = json.dumps(value, separators=(",", ":")).encode()[:-1]
    return b'%b,"%b":"%08x"}\n' % (head, _CRC.encode(), zlib.crc32(head))


def _opened(line: bytes) -> tuple[dict[str, object], int] | None:
    """Return what stands in a line and how far the file was synced when it was written; None for a line that is not whole."""
    end = _END.fullmatch(line[-_END_LENGTH:])
    if end is None or int(end[1], 16) != zlib.crc32(line[:-_END_LENGTH]):
        return None
    try:
        value = json.loads(line)
        del value[_CRC]
        return value, int(value.pop(_SYNCED))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _good_lines(raw: bytes, path: Path) -> tuple[list[object], int]:
    """Return the values up to the first line that is not good, and their length in bytes. Raises StoreError for damage."""
    values: list[object] = []
    good = at = number = synced = 0
    first_bad = 0
    while (end := raw.find(b"\n", at)) >= 0:
        number += 1
        opened = _opened(raw[at:end])
        if opened is None:
            first_bad = first_bad or number
        else:
            synced = max(synced, opened[1])
            if not first_bad:
                values.append(opened[0])
                good = end + 1
        at = end + 1
    if good < synced:
        raise damaged_line(path, first_bad)
    return values, good
