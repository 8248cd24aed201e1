"""LineFile: JSON values in a file, one on each line, appended and never changed. What was appended survives kill -9."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path

from registry_snapshot.errors import StoreError
from registry_snapshot.store.disk import store_error


def read_lines(path: Path) -> list[object]:
    """Return every value of a file that another process may be writing; none where there is no file. Changes nothing.

    A last line that is torn, or not whole yet, is left out. Raises StoreError.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise store_error(error, path) from error
    return _parse(_whole_lines(raw), path)


def damaged_line(path: Path, number: int) -> StoreError:
    """Return the error for a line that cannot be understood."""
    return StoreError(f"{path}:{number} is damaged", f"remove that line, or all of {path.parent}, and record again")


class LineFile:
    """The file at ``path``, made if it is not there. Safe for threads; one process at a time. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._syncing = threading.Lock()
        self._written = self._synced = 0
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise store_error(error, path) from error

    def load(self) -> list[object]:
        """Return every value. A last line that was torn by a crash is cut off the file. Raises StoreError."""
        try:
            raw = self.path.read_bytes()
            whole = _whole_lines(raw)
            if len(whole) != len(raw):
                os.ftruncate(self._descriptor, len(whole))
        except OSError as error:
            raise store_error(error, self.path) from error
        return _parse(whole, self.path)

    def append(self, value: dict[str, object]) -> None:
        """Add one value; it is on the disk when this returns. Raises StoreError."""
        self.sync(self.write(value))

    def write(self, value: dict[str, object]) -> int:
        """Add one value and return its number; after ``sync`` of that number it is on the disk. Raises StoreError."""
        line = json.dumps(value, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            self._write(line)
            self._written += 1
            return self._written

    def sync(self, number: int) -> None:
        """Return when the value with ``number`` is on the disk. Raises StoreError."""
        # Threads that wait here for one sync are all served by the next: a hundred pulls at once cost two, not a hundred.
        with self._syncing:
            if self._synced >= number:
                return
            with self._lock:
                upto = self._written
            self._sync()
            self._synced = upto

    def close(self) -> None:
        """Close the file. May be called twice."""
        with self._syncing, self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def _write(self, line: bytes) -> None:
        self._check_open()
        before = os.fstat(self._descriptor).st_size
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except OSError as error:
            # A disk that is full takes half a line; the next one, when there is room again, must not be glued to it.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, before)
            raise store_error(error, self.path) from error

    def _sync(self) -> None:
        self._check_open()
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise store_error(error, self.path) from error

    def _check_open(self) -> None:
        if self._descriptor < 0:
            raise StoreError(f"nothing can be added to {self.path}: the recording has ended", "record again")


def _whole_lines(raw: bytes) -> bytes:
    return raw[: raw.rfind(b"\n") + 1]


def _parse(raw: bytes, path: Path) -> list[object]:
    values = []
    for number, line in enumerate(raw.splitlines(), 1):
        try:
            values.append(json.loads(line))
        except ValueError:
            raise damaged_line(path, number) from None
    return values
