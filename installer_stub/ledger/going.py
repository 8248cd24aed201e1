"""What is left of us on a host goes, once everything is undone: the ledger last but one, the mark that the host is ours last."""

from __future__ import annotations

import contextlib

from installer_stub.changes.image import Form
from installer_stub.changes.machine import Machine
from installer_stub.changes.mounts import below
from installer_stub.errors import NotPutBack
from installer_stub.ledger.difference import OWN
from installer_stub.ledger.ledger import Ledger
from installer_stub.ledger.report import Report
from installer_stub.membership import leaving
from installer_stub.plan.model import STUB


def remove_ourselves(ledger: Ledger) -> list[str]:
    """Remove what is left of us: the mark that the host is ours last, the ledger just before it. Raises OSError, NotPutBack."""
    machine, state = ledger.machine, ledger.state
    for place in (*OWN, state):
        if mounted := below(machine.mounts(), place):
            raise NotPutBack(f"{mounted[0].target} is mounted below {place}", "unmount it, then run reset again")
    _remove_places(machine)
    for child in sorted(machine.disk.at(state).iterdir()):
        if child.name not in {"ledger", "cluster.json", "membership.json"}:
            name = f"{state}/{child.name}"
            machine.disk.remove_tree(name) if child.is_dir() and not child.is_symlink() else machine.disk.unlink(name)
    machine.disk.rename(ledger.directory, f"{ledger.directory}.closed")
    machine.disk.sync(state)
    _remove_state(machine, state)
    return []


def _remove_places(machine: Machine) -> None:
    # First the name that the stub is started by: what a power cut leaves of its directory is no program any more.
    if machine.disk.at(STUB).is_symlink():
        machine.disk.remove(STUB)
    for place in ("/etc/airseal", "/run/airseal", "/run/airseal-keep", "/opt/airseal"):
        if machine.disk.at(place).is_dir():
            machine.disk.remove_tree(place)


def finish(machine: Machine, state: str) -> Report:
    """A reset whose work was complete was cut off while it removed its own last files."""
    _remove_places(machine)
    _remove_state(machine, state)
    return Report(notes=["an earlier reset was complete but for airseal's own files; those are gone now"], complete=True)


def _remove_state(machine: Machine, state: str) -> None:
    closed = f"{state}/ledger.closed"
    if machine.disk.at(closed).is_dir():
        machine.disk.remove_tree(closed)
    leaving.end(machine.disk, state)  # before the mark: without that nobody would know whose reset it is to finish
    with contextlib.suppress(FileNotFoundError):
        machine.disk.unlink(f"{state}/cluster.json")
    if machine.disk.seen(state)[0].form is Form.DIRECTORY:
        machine.disk.remove_tree(state)
