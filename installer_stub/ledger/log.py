"""Log: the file of records. Appended and synced one by one; a torn end is cut, a hole is an error with a name."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import replace
from typing import Final

from installer_stub.changes.disk import Disk, above
from installer_stub.changes.image import Form, Image
from installer_stub.changes.things import Thing
from installer_stub.errors import LedgerDamaged, LedgerError
from installer_stub.ledger.record import LOST, Record, Step, decode, encode
from installer_stub.ledger.sign import Head, damaged, lost_of, require_whole

_MOST: Final = 64 << 20  # bytes; a thousand installations are a tenth of it


def parse(data: bytes, path: str, sign: bytes | None) -> tuple[tuple[Record, ...], int]:
    """Return the records, and how many bytes of ``data`` they are. What follows is a record that was being written.

    A record is synced before its change begins, so one that is torn at the end had no change. Raises LedgerDamaged where
    a bad line stands before a good one, a number is missing, or the log does not go as far as its ``sign`` says (None: it
    has none): those records had changes.
    """
    records, good, bad = _whole(data)
    if bad:
        raise damaged(f"{path} is damaged at line {bad}, with whole records behind it", path)
    require_whole(sign, data, len(records), path)
    return records, good


def _whole(data: bytes) -> tuple[tuple[Record, ...], int, int]:
    """Return the records before the first that is not whole, how many bytes they are, and the line at which others go on; 0: none do."""
    records: list[Record] = []
    good = at = 0
    bad: int | None = None
    for line_number, line in enumerate(data.split(b"\n"), 1):
        end = at + len(line) + 1
        record = decode(line) if end <= len(data) else None
        if record is None:
            bad = bad or line_number
        elif bad is not None or record.number != len(records) + 1:
            return tuple(records), good, bad or line_number
        else:
            records.append(record)
            good = end
        at = end
    return tuple(records), good, 0


def _each(data: bytes) -> list[Record]:
    """Return every record that is whole, also behind one that is not; what stands there with an earlier number is of another log."""
    found: list[Record] = []
    for line in data.split(b"\n")[:-1]:
        record = decode(line)
        if record is not None and record.number > (found[-1].number if found else 0):
            found.append(record)
    return found


def _sensible(records: list[Record]) -> list[Record]:
    """Return those that say something without the lost ones: what a thing was before it is never concluded from a later record."""
    kept: list[Record] = []
    known: set[Thing] = set()
    for record in records:
        if record.thing is not None and record.thing not in known:
            if record.step is not Step.INTENT or record.before is None:
                continue
            known.add(record.thing)
        if record.thing is not None and record.step in {Step.UNDONE, Step.ABANDONED}:
            known.discard(record.thing)
        kept.append(record)
    return kept


def read_what_can_be(data: bytes, sign: bytes | None) -> list[str]:
    """Return a line for people for each line of a log, also of one that is damaged, and one for what is missing by its sign."""
    shown = []
    for number, line in enumerate(data.split(b"\n")[: data.count(b"\n") + 1], 1):
        record = decode(line)
        if record is not None:
            shown.append(f"{record.number:6} {record.step.value:9} {record.thing or record.note}")
        elif line:
            shown.append(f"line {number} is torn or altered: {line[:80]!r}")
    records, _, _ = _whole(data)
    lost = lost_of(sign, data, len(records))
    return [*shown, f"lost: {lost}"] if lost else shown


class Log:
    """The records of a file that is locked by its ledger."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self._path = path
        self._size = 0
        self._hash = hashlib.sha256()
        self.records: list[Record] = []

    @property
    def head(self) -> Head:
        """How far it goes."""
        return Head(len(self.records), self._size, self._hash.hexdigest())

    def load(self, sign: bytes | None, *, writing: bool) -> None:
        """Read it; with ``writing`` make it if it is not there and cut a torn end. Raises LedgerDamaged, LedgerError, OSError."""
        data = self._read()
        records, good = parse(data or b"", self._path, sign)
        self._take(records, data or b"", good)
        if not writing:
            return
        if data is None:
            self._disk.create(self._path, b"")
            self._disk.sync(self._path)
            self._disk.sync(above(self._path))
        elif good < len(data):
            self._disk.truncate(self._path, good)
            self._disk.sync(self._path)

    def forget_lost(self, sign: bytes | None, now: int) -> None:
        """Go on with the records that are whole, if others are lost, and a fact that says so. A copy of all of it is kept beside it.

        The log is replaced as a whole: cut off anywhere, it is the damaged one or the one that knows. Raises OSError.
        """
        data = self._read() or b""
        whole, good, bad = _whole(data)
        if not bad and not lost_of(sign, data, len(whole)):
            return
        kept, numbered = _sensible(_each(data)), [record.number for record in _each(data)]
        head = Head.of(sign or b"")
        total = max([*numbered, head.records if head else 0])
        what = f"{total - len(kept)} of its {total} records are lost" if kept and total > len(kept) else lost_of(sign, data, len(kept)) or f"line {bad} of it is none"
        if good < len(data):
            self._disk.replace(f"{self._path}.lost-{hashlib.sha256(data).hexdigest()[:12]}", data, Image(Form.FILE, mode=0o600))
        if all(record.step is not Step.OPENED for record in kept):
            kept.append(Record(0, Step.OPENED, time=now))  # not measured: how the host was before is not to be had any more
        kept.append(Record(0, Step.FACT, note=f"{LOST} {what}", time=now))
        lines = (encode(replace(record, number=number)) for number, record in enumerate(kept, 1))
        self._disk.replace(self._path, b"".join(lines), Image(Form.FILE, mode=0o600))

    def _read(self) -> bytes | None:
        try:
            with self._disk.at(self._path).open("rb") as stream:
                data = stream.read(_MOST + 1)
        except FileNotFoundError:
            return None
        if len(data) > _MOST:
            raise LedgerDamaged(f"{self._path} has more than {_MOST >> 20} MiB", "this is no ledger that airseal wrote")
        return data

    def _take(self, records: tuple[Record, ...], data: bytes, good: int) -> None:
        self.records, self._size, self._hash = list(records), good, hashlib.sha256(data[:good])

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
        self._hash.update(line)
        self.records.append(record)

    def _cut(self, cause: OSError) -> None:
        try:
            self._disk.truncate(self._path, self._size)
        except OSError as error:
            raise LedgerError(f"{self._path} can neither be written nor cut: {error.strerror}", "mend the disk, then run again") from cause

