"""Opening a host's ledger, before anything is changed there: an older journal, and the snapshot."""

from __future__ import annotations

import hashlib
from typing import Final

from installer_stub.changes.image import Form, Image
from installer_stub.errors import LedgerDamaged, LedgerError
from installer_stub.ledger.importing import import_journal, was_changed
from installer_stub.ledger.ledger import Ledger
from installer_stub.ledger.record import Step
from installer_stub.ledger.snapshot import Snapshot, take

_NAME: Final = "before.json.zst"


def open_ledger(ledger: Ledger, *, measure: bool) -> bool:
    """Begin the ledger if it has not begun; tell whether it has just. ``measure``: take the snapshot, which costs a second.

    A host that an airseal changed already has no "before" that could be measured: it gets none.
    """
    late = import_journal(ledger)
    machine = ledger.machine
    digest = ""
    try:
        if ledger.beginning is not None:
            return False
        if not late and not ledger.entries and (proof := was_changed(machine)):
            ledger.lose(f"all of them: there is {proof}")  # of an airseal whose ledger and its sign are both gone, or were given up
            late = True
        if measure and not late and not ledger.entries:
            data = take(machine).pack()
            digest = hashlib.sha256(data).hexdigest()
            machine.disk.replace(f"{ledger.directory}/{_NAME}", data, Image(Form.FILE, mode=0o600))
        ledger.note(Step.OPENED, note=digest)
    except OSError as error:
        raise LedgerError(f"the ledger cannot be begun: {error.filename or ''} {error.strerror}", "nothing was changed; mend the disk, then run again") from error
    return True


def before_snapshot(ledger: Ledger) -> Snapshot | None:
    """Return how the host was; None: it was never measured. Raises LedgerDamaged where the measurement is lost or altered."""
    data = measurement(ledger)
    return None if data is None else Snapshot.unpack(data)


def measurement(ledger: Ledger) -> bytes | None:
    """Return the snapshot's bytes, which are those that were noted; None: there was none. Raises LedgerDamaged where they are lost or altered."""
    beginning = ledger.beginning
    if beginning is None or not beginning.note:
        return None
    path = f"{ledger.directory}/{_NAME}"
    try:
        data = ledger.machine.disk.at(path).read_bytes()
    except OSError as error:
        raise LedgerDamaged(f"{path} cannot be read: {error.strerror}", "reset goes on without it: --abandon snapshot") from error
    if hashlib.sha256(data).hexdigest() != beginning.note:
        raise LedgerDamaged(f"{path} was altered", "reset goes on without it: --abandon snapshot")
    return data
