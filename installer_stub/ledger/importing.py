"""The journal of an older airseal becomes entries of the ledger, verified as far as it can be.

It had no hashes: a backup that is missing or empty is not trusted, and reset names it instead of writing it over a file.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

from installer_stub.changes.image import ABSENT, Form, Image
from installer_stub.changes.machine import Machine
from installer_stub.changes.things import Kind, Seen, Thing
from installer_stub.distro.paths import BUNDLED
from installer_stub.errors import LedgerDamaged
from installer_stub.ledger.ledger import Ledger
from installer_stub.ledger.record import Step

UNITS: Final = "/etc/systemd/system"
MADE: Final = b"Made by airseal"  # what each of our units says of itself
_KUBELET: Final = "kubelet.service"


def import_journal(ledger: Ledger) -> bool:
    """Bring ``journal.jsonl`` into the ledger, once; tell whether there was one. Cut off anywhere, it is begun again."""
    path = f"{ledger.state}/journal.jsonl"
    if any(record.step is Step.IMPORTED for record in ledger.log.records):
        return True
    try:
        data = ledger.machine.disk.at(path).read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LedgerDamaged(f"{path} cannot be read: {error.strerror}", "mend the disk, then run again") from error
    for line in data.split(b"\n"):
        entry = _entry(line)
        if entry is None:
            continue  # torn: its change had not begun
        thing, previous = entry
        if all(known.thing != thing for known in ledger.entries):
            ledger.import_entry(thing, _before(ledger.machine, thing, previous))
    ledger.note(Step.IMPORTED, note=hashlib.sha256(data).hexdigest())
    return True


def _entry(line: bytes) -> tuple[Thing, str | None] | None:
    try:
        value = json.loads(line)
        previous = value["previous"]
        return Thing(Kind(value["kind"]), str(value["name"])), None if previous is None else str(previous)
    except (ValueError, KeyError, TypeError):
        return None


def _before(machine: Machine, thing: Thing, previous: str | None) -> Seen:
    if previous is None:
        return Seen(Image(Form.OTHER) if thing.kind is Kind.BLOCK else ABSENT)
    match thing.kind:
        case Kind.FILE | Kind.LINK:
            return _backup(machine, previous)
        case Kind.DIRECTORY:
            return Seen(Image(Form.DIRECTORY, value=previous))
        case _:
            return Seen(Image(Form.VALUE, value=previous))


def _backup(machine: Machine, path: str) -> Seen:
    image, data = machine.disk.seen(path)
    if image.form is Form.ABSENT:
        return Seen(Image(Form.LOST, value=f"its backup {path} is missing"))
    if image.form is Form.FILE and not data:
        return Seen(Image(Form.LOST, value=f"its backup {path} is empty, as a power cut leaves one"))
    return Seen(image, {image.sha256: data} if image.form is Form.FILE else {})


def was_changed(machine: Machine) -> str:
    """Return the proof that an airseal changed this host, for a host whose ledger is missing; empty: there is none."""
    if _KUBELET in units_of_ours(machine):
        return f"{UNITS}/{_KUBELET}"
    opt = machine.disk.at("/opt/airseal")
    versions = sorted(child.name for child in opt.iterdir() if (child / BUNDLED).is_file()) if opt.is_dir() else []
    return f"/opt/airseal/{versions[0]}" if versions else ""


def units_of_ours(machine: Machine) -> tuple[str, ...]:
    """Return the units whose own files say that airseal made them: timers first, the runtime last, as they are to be stopped.

    Of a file that cannot be read nothing is proven: it is none of them.
    """
    directory = machine.disk.at(UNITS)
    names = [path.name for path in directory.iterdir() if path.suffix in {".service", ".timer"}] if directory.is_dir() else []
    ours = [name for name in names if _says_so(machine, f"{UNITS}/{name}")]
    return tuple(sorted(ours, key=lambda name: (not name.endswith(".timer"), name == "containerd.service", name)))


def _says_so(machine: Machine, name: str) -> bool:
    try:
        return MADE in machine.disk.seen(name)[1]
    except OSError:
        return False
