"""Log: the file of records. Appended and synced one by one; a torn end is cut, a hole is an error with a name."""

from __future__ import annotations

import errno
from typing import Final

from installer_stub.changes.disk import Disk, above
from installer_stub.errors import LedgerDamaged, LedgerError
from installer_stub.ledger.record import Record, decode, encode

_MOST: Final = 64 << 20  # bytes; a thousand installations are a tenth of it


def parse(data: bytes, path: str) -> tuple[tuple[Record, ...], int]:
    """Return the records, and how many bytes of ``data`` they are. What follows is a record that was being written.

    A record is synced before its change begins, so one that is torn at the end had no change. Raises LedgerDamaged where
    a bad line stands before a good one, or a number is missing: those records had changes.
    """
    records: list[Record] = []
    good = at = 0
    bad: int | None = None
    for line_number, line in enumerate(data.split(b"\n"), 1):
        end = at + len(line) + 1
        record = decode(line) if end <= len(data) else None
        if record is None:
            bad = bad or line_number
        elif bad is not None or record.number != len(records) + 1:
            raise _damaged(path, bad or line_number)
        else:
            records.append(record)
            good = end
        at = end
    return tuple(records), good


def read_what_can_be(data: bytes) -> list[str]:
    """Return a line for people for each line of a log, also of one that is damaged."""
    shown = []
    for number, line in enumerate(data.split(b"\n")[: data.count(b"\n") + 1], 1):
        record = decode(line)
        if record is not None:
            shown.append(f"{record.number:6} {record.step.value:9} {record.thing or record.note}")
        elif line:
            shown.append(f"line {number} is torn or altered: {line[:80]!r}")
    return shown


class Log:
    """The records of a file that is locked by its ledger."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self._path = path
        self._size = 0
        self.records: list[Record] = []

    def load(self, *, writing: bool) -> None:
        """Read it; with ``writing`` make it if it is not there and cut a torn end. Raises LedgerDamaged, LedgerError."""
        try:
            with self._disk.at(self._path).open("rb") as stream:
                data = stream.read(_MOST + 1)
        except FileNotFoundError:
            if writing:
                self._disk.create(self._path, b"")
                self._disk.sync(self._path)
                self._disk.sync(above(self._path))
            return
        if len(data) > _MOST:
            raise LedgerDamaged(f"{self._path} has more than {_MOST >> 20} MiB", "this is no ledger that airseal wrote")
        records, good = parse(data, self._path)
        if writing and good < len(data):
            self._disk.truncate(self._path, good)
            self._disk.sync(self._path)
        self.records, self._size = list(records), good

    def append(self, record: Record) -> None:
        """Add a record; when this returns it outlives a power cut. Raises LedgerError, and then nothing was added."""
        line = encode(record)
        try:
            self._disk.append(self._path, line)
            self._disk.sync(self._path)
        except OSError as error:
            self._cut(error)
            where = "the disk is full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else str(error.strerror)
            raise LedgerError(f"{self._path} cannot be written: {where}", "nothing was changed; make room or mend the disk, then run again") from error
        self._size += len(line)
        self.records.append(record)

    def _cut(self, cause: OSError) -> None:
        try:
            self._disk.truncate(self._path, self._size)
        except OSError as error:
            raise LedgerError(f"{self._path} can neither be written nor cut: {error.strerror}", "mend the disk, then run again") from cause


def _damaged(path: str, line: int) -> LedgerDamaged:
    return LedgerDamaged(
        f"{path} is damaged at line {line}, with whole records behind it: what was changed there is not known",
        f"put {path} back from a backup; what it still says: /opt/airseal/bin/airseal host ledger show",
    )
