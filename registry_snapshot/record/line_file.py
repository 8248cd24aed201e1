"""LineFile: JSON values in a file, one on each line, appended and never changed. What was appended survives kill -9."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from registry_snapshot.errors import StoreError
from registry_snapshot.store.disk import store_error


class LineFile:
    """The file at ``path``, made if it is not there. Safe for threads; one process at a time. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise store_error(error, path) from error

    def load(self) -> list[object]:
        """Return every value. A last line that was torn by a crash is cut off the file. Raises StoreError."""
        try:
            raw = self.path.read_bytes()
            whole = raw[: raw.rfind(b"\n") + 1]
            if len(whole) != len(raw):
                os.ftruncate(self._descriptor, len(whole))
        except OSError as error:
            raise store_error(error, self.path) from error
        values = []
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                values.append(json.loads(line))
            except ValueError:
                raise self.damaged(number) from None
        return values

    def append(self, value: dict[str, object]) -> None:
        """Add one value; it is on the disk when this returns. Raises StoreError."""
        line = json.dumps(value, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            try:
                while line:
                    line = line[os.write(self._descriptor, line) :]
                os.fdatasync(self._descriptor)
            except OSError as error:
                raise store_error(error, self.path) from error

    def damaged(self, number: int) -> StoreError:
        """Return the error for a line that cannot be understood."""
        return StoreError(f"{self.path}:{number} is damaged", f"remove {self.path.parent} and run again")

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
