"""Units that run by files that say airseal made them, on a host whose ledger lost records: nobody knows what they were before.

They end, for kubelet and containerd would start again what an undo ends; and their files go beside their places, for nobody else
would write that into one, and what they took the place of is lost either way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from installer_stub.changes.machine import Machine
from installer_stub.changes.things import Kind, Thing
from installer_stub.ledger.importing import MADE, UNITS, units_of_ours
from installer_stub.ledger.ledger import Ledger
from installer_stub.ledger.record import Step

_ASIDE: Final = ".made-by-airseal"  # systemd reads no such file


def end_units(ledger: Ledger, say: Callable[[str], None]) -> tuple[str, ...]:
    """Switch off what no record tells the before of, and return it. Raises CouldNotTell, NotPutBack, LedgerError, OSError.

    A record from after the loss tells it where the unit's file was not ours when it was noted: else it would be our own state that comes back.
    """
    if ledger.lost is None:
        return ()
    units, ended = ledger.machine.units, []
    for name in units_of_ours(ledger.machine):
        entry = ledger.entry(Thing(Kind.UNIT, name))
        if entry is not None and (entry.number < ledger.lost.number or _was_theirs(ledger, name)):
            continue
        state = units.state(name)
        if state.startswith("enabled "):
            units.do("disable", name)
        if state.endswith(" active"):
            say(f"stopping {name}")
            units.do("stop", name)
        if entry is not None:
            ledger.note(Step.UNDONE, entry.thing, note="what it was before is lost")
        ended.append(name)
    return tuple(ended)


def set_units_aside(machine: Machine, names: Iterable[str]) -> list[str]:
    """Put what is left of their files aside, once everything else is undone, and return a line for people for each. Raises NotPutBack, OSError."""
    notes, there = [], units_of_ours(machine)
    for name in names:
        note = "it is switched off, and what it was before is lost"
        if name in there:
            machine.disk.rename(f"{UNITS}/{name}", f"{UNITS}/{name}{_ASIDE}")
            machine.disk.sync(UNITS)
            note += f"; its file, which says that airseal made it, is {name}{_ASIDE} now"
        notes.append(f"unit {name}: {note}")
    if notes:
        machine.units.do("daemon-reload")
    return notes


def _was_theirs(ledger: Ledger, name: str) -> bool:
    file = ledger.entry(Thing(Kind.FILE, f"{UNITS}/{name}"))
    return file is not None and MADE not in ledger.store.content(file.before)
