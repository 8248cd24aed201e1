"""Power cut after every step of changing and of undoing, with every kind of loss: what is left is undone to the original."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer_stub.changes.disk import Disk
from installer_stub.changes.machine import Machine
from installer_stub.changes.things import Kind, Thing
from installer_stub.changes.values import Block, Link, WriteFile
from installer_stub.errors import LedgerDamaged
from installer_stub.ledger.containers import Processes
from installer_stub.ledger.ledger import Ledger
from installer_stub.ledger.record import Step
from installer_stub.ledger.undo import Undo
from tests.fakes.machine import FakeHost, FakePrograms, FakeUnits
from tests.fakes.power import Model, RecordingDisk, UnsyncedDisk, left_by_a_cut

STATE = "/var/lib/airseal"
MOUNTED = ("/etc/hosts",)
OURS = (STATE, "/etc/airseal")
BARE = ("etc", "var/lib", "proc/self")


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: thousands of small trees are written and read."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        yield Path(directory)


def original(root: Path) -> FakeHost:
    host = FakeHost(root, directories=BARE)
    host.put("/etc/hosts", "127.0.0.1 localhost\n# Århus, no newline at the end")
    host.put("/etc/theirs.conf", "theirs\n" * 300, 0o640)
    host.put("/usr/local/bin/kubectl", "an older kubectl", 0o755)
    host.path("/etc/link.conf").symlink_to("theirs.conf")
    host.put("/etc/kubernetes/pki/theirs.key", "a key of theirs", 0o600)
    host.put("/etc/kubernetes/pki/old.crt", "a certificate of theirs", 0o644)
    return host


def change(machine: Machine) -> None:
    """In two sessions: at the end of each the sign says how far the log went."""
    with Ledger.opened(machine, STATE) as ledger:
        ledger.note(Step.OPENED)
        begin(ledger)
    with Ledger.opened(machine, STATE) as ledger:
        go_on(ledger)


def begin(ledger: Ledger) -> None:
    ledger.remember([Thing(Kind.DIRECTORY, "/etc/kubernetes"), Thing(Kind.DIRECTORY, "/var/lib/kubelet")])
    ledger.make(WriteFile("/etc/theirs.conf", b"ours"))
    ledger.make(WriteFile("/etc/new/deep/ours.conf", b"ours", 0o600))
    ledger.make(Link("/usr/local/bin/kubectl", "/opt/airseal/kubectl"))


def go_on(ledger: Ledger) -> None:
    ledger.make(WriteFile("/etc/link.conf", b"ours"))
    ledger.make(Block("/etc/hosts", ("10.0.0.2 api.airseal.internal",)))
    ledger.make(WriteFile("/etc/theirs.conf", b"ours, later"))
    disk = ledger.machine.disk
    disk.mkdir("/var/lib/kubelet")
    disk.create("/var/lib/kubelet/config", b"x")
    disk.unlink("/etc/kubernetes/pki/old.crt")
    disk.create("/etc/kubernetes/admin.conf", b"x")


def undo(machine: Machine) -> list[str]:
    with Ledger.opened(machine, STATE) as ledger:
        report = Undo(ledger, Processes(), lambda _line: None, frozenset()).entries_only()
    return [str(left) for left in report.left]


def machine(root: Path, disk: Disk) -> Machine:
    del root
    return Machine(disk, FakeUnits(), FakePrograms())


def cuts(steps: list[tuple[object, ...]], before: Path, tmp_path: Path, wanted: dict[str, tuple[object, ...]], *, first: int = 0) -> int:
    """Cut after every step from ``first``; return how many states were tried."""
    model, chance, tried = Model(before), random.Random(7), 0  # noqa: S311 - which of many states, not a secret
    for number, step in enumerate(steps):
        model.do(step)
        if number < first:
            continue
        where = tmp_path / f"cut-{number}"
        where.mkdir()
        for left in left_by_a_cut(model, where, chance):
            disk = UnsyncedDisk(left, MOUNTED)
            assert undo(machine(left, disk)) == [], (number, step, left)
            host = FakeHost(left, directories=BARE)
            assert host.tree(*OURS) == wanted, (number, step, left)
            tried += 1
        shutil.rmtree(where)
    return tried


def test_whatever_a_power_cut_leaves_is_undone_to_the_original(tmp_path: Path) -> None:
    before = tmp_path / "before"
    wanted = original(before).tree()
    work = tmp_path / "work"
    shutil.copytree(before, work, symlinks=True)
    disk = RecordingDisk(work, MOUNTED)
    change(machine(work, disk))
    assert FakeHost(work, directories=BARE).tree(*OURS) != wanted
    tried = cuts(disk.steps, before, tmp_path, wanted)
    assert tried > len(disk.steps)


def test_an_undo_that_is_cut_off_anywhere_is_finished_by_the_next(tmp_path: Path) -> None:
    before = tmp_path / "before"
    wanted = original(before).tree()
    work = tmp_path / "work"
    shutil.copytree(before, work, symlinks=True)
    change(machine(work, UnsyncedDisk(work, MOUNTED)))
    changed = tmp_path / "changed"
    shutil.copytree(work, changed, symlinks=True)
    disk = RecordingDisk(work, MOUNTED)
    assert undo(machine(work, disk)) == []
    assert FakeHost(work, directories=BARE).tree(*OURS) == wanted
    assert cuts(disk.steps, changed, tmp_path, wanted) > len(disk.steps)


@pytest.mark.parametrize("broken", ["no sync of the record", "no sync of the content", "no sync of the part"])
def test_the_model_finds_an_order_that_is_wrong(tmp_path: Path, broken: str) -> None:
    """The same changes without one of the syncs: some cut must lose something, or this test proves nothing."""
    before = tmp_path / "before"
    wanted = original(before).tree()
    work = tmp_path / "work"
    shutil.copytree(before, work, symlinks=True)
    disk = RecordingDisk(work, MOUNTED)
    change(machine(work, disk))
    part = {"no sync of the record": "ledger/log", "no sync of the content": ".new", "no sync of the part": ".airseal-part"}[broken]
    steps = [step for step in disk.steps if step[0] != "sync" or not str(step[1]).endswith(part)]
    assert len(steps) < len(disk.steps)
    with pytest.raises((AssertionError, LedgerDamaged)):
        cuts(steps, before, tmp_path, wanted)


def test_a_session_that_signs_what_a_killed_one_wrote_makes_sure_of_it_first(tmp_path: Path) -> None:
    """Killed between writing a record and its sync: the next session reads it from memory, and a power cut may still take it."""

    class Killed(RecordingDisk):
        ends = False

        def sync(self, name: str) -> None:
            if self.ends and name.endswith("ledger/log"):
                raise KeyboardInterrupt
            super().sync(name)

    before = tmp_path / "before"
    wanted = original(before).tree()
    work = tmp_path / "work"
    shutil.copytree(before, work, symlinks=True)
    disk = Killed(work, MOUNTED)
    with Ledger.opened(machine(work, disk), STATE) as ledger:
        ledger.note(Step.OPENED)
    disk.ends = True
    with pytest.raises(KeyboardInterrupt), Ledger.opened(machine(work, disk), STATE) as ledger:
        ledger.hold({"a": "b"})
    disk.ends = False
    with Ledger.opened(machine(work, disk), STATE) as ledger:
        assert len(ledger.log.records) == 2
    assert cuts(disk.steps, before, tmp_path, wanted) > len(disk.steps)
