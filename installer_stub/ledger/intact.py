"""What an undo will need and cannot trust any more: found by every run, while a backup may still have it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from installer_stub.changes.image import Form
from installer_stub.changes.things import Kind
from installer_stub.errors import LedgerDamaged, LedgerError
from installer_stub.ledger.ledger import Entry, Ledger
from installer_stub.ledger.opening import measurement
from installer_stub.ledger.put_back import block_before
from installer_stub.ledger.report import Left
from installer_stub.ledger.trees import listing


def mendable(ledger: Ledger) -> tuple[str, ...]:
    """Return the files whose bytes of before are lost and proven by what is there: ``mend`` keeps them again."""
    return tuple(entry.thing.name for entry, _ in _provable(ledger))


def mend(ledger: Ledger) -> None:
    """Keep again what can be proven. Raises LedgerError."""
    for entry, data in _provable(ledger):
        try:
            ledger.store.keep(entry.before.sha256, data)
        except OSError as error:
            raise LedgerError(f"what {entry.thing} was cannot be kept: {error.strerror}", "make room on the disk, then run again") from error


def _provable(ledger: Ledger) -> Iterator[tuple[Entry, bytes]]:
    for entry in ledger.entries:
        if not entry.is_open or entry.thing.kind is not Kind.BLOCK:
            continue
        try:
            ledger.store.content(entry.before)
        except LedgerDamaged:
            with contextlib.suppress(LedgerDamaged, OSError):
                yield entry, block_before(ledger, entry)


def damaged(ledger: Ledger) -> tuple[Left, ...]:
    """Return what cannot be put back as it was, by what the ledger keeps of it: each open entry's bytes, and the measurement of the host."""
    return tuple(_damaged(ledger))


def _damaged(ledger: Ledger) -> Iterator[Left]:
    for entry in ledger.entries:
        try:
            if entry.is_open:
                _read(ledger, entry)
        except LedgerDamaged as error:
            yield Left(entry.thing.name, error.problem, error.remedy)
        except OSError as error:
            yield Left(entry.thing.name, f"{error.filename or entry.thing.name}: {error.strerror or error}", "see why the disk refuses it")
    try:
        measurement(ledger)
    except LedgerDamaged as error:
        yield Left("snapshot", error.problem, error.remedy)


def _read(ledger: Ledger, entry: Entry) -> None:
    if entry.thing.kind is Kind.BLOCK:
        block_before(ledger, entry)
    elif entry.before.form is Form.FILE:
        ledger.store.content(entry.before)
    elif entry.before.form is Form.DIRECTORY and entry.before.sha256:
        for image in listing(ledger, entry.before).values():
            ledger.store.content(image)
