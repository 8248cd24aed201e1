"""Ledger: the changes of one host. What a thing was is safe on disk before the thing is touched; the first look counts."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from installer_stub.changes.disk import above
from installer_stub.changes.image import ABSENT, Form, Image
from installer_stub.changes.machine import Machine
from installer_stub.changes.things import Kind, Seen, Thing, look
from installer_stub.changes.values import Block, Change, Observed, observe
from installer_stub.errors import CouldNotTell, LedgerError, NotPutBack
from installer_stub.ledger.log import Log
from installer_stub.ledger.record import LOST, Record, Step
from installer_stub.ledger.sign import Head, read_sign, sign_of
from installer_stub.ledger.store import Store
from installer_stub.plan.model import STATE

_WAIT: Final = 60.0  # seconds for another process to let go of the ledger


@dataclass(slots=True)
class Entry:
    """A thing that was changed: what it was at the first look, and everything that we made it since."""

    thing: Thing
    before: Image
    afters: list[Image] = field(default_factory=list)
    state: Step = Step.INTENT
    number: int = 0  # of its intent: the order of undoing

    @property
    def is_open(self) -> bool:
        """Whether it is still to be undone."""
        return self.state not in {Step.UNDONE, Step.ABANDONED}

    def is_ours(self, image: Image) -> bool:
        """Tell whether ``image`` is something that we made of it."""
        return any(image.matches(after) for after in self.afters)


def entries_of(records: Iterable[Record]) -> tuple[Entry, ...]:
    """Return the entries that records make, in the order of their intents.

    A thing that was undone and is changed again is a new entry: what it is now is its new beginning.
    """
    made: list[Entry] = []
    latest: dict[Thing, Entry] = {}
    for record in records:
        if record.thing is None:
            continue
        entry = latest.get(record.thing)
        if record.step is Step.INTENT and entry is not None and entry.is_open and record.before is not None:
            entry.state = Step.UNDONE  # what it was is noted anew only once it was undone: that record is lost
        if record.step is Step.INTENT and (entry is None or not entry.is_open):
            entry = Entry(record.thing, record.before or ABSENT, number=record.number)
            latest[record.thing] = entry
            made.append(entry)
        if entry is None:
            continue
        entry.state = record.step
        if record.after is not None:
            entry.afters.append(record.after)
    return tuple(made)


def facts_of(records: Iterable[Record]) -> dict[str, str]:
    """Return the value of each fact by its name: the latest word counts."""
    pairs = (record.note.partition(" ")[::2] for record in records if record.step is Step.FACT)
    return dict(pairs)


class Ledger:
    """Use ``opened``: one process at a time writes. Raises LedgerError and its kinds, never OSError."""

    def __init__(self, machine: Machine, state: str = STATE) -> None:
        self.machine = machine
        self.state = state
        self.directory = f"{state}/ledger"
        self.store = Store(machine.disk, f"{self.directory}/content")
        self.log = Log(machine.disk, f"{self.directory}/log")

    @classmethod
    @contextlib.contextmanager
    def opened(cls, machine: Machine, state: str = STATE, *, wait: float = _WAIT, forget_lost: bool = False) -> Iterator[Ledger]:
        """Open it for writing, made if it is not there. ``forget_lost``: a person said to go on without what is lost of its log."""
        ledger = cls(machine, state)
        try:
            ledger._make_directories()
            fd = os.open(machine.disk.at(f"{ledger.directory}/lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LedgerError(f"{ledger.directory} cannot be made: {error.strerror}", "see whether its file system is full or mounted read-only") from error
        try:
            _lock(fd, wait, ledger.directory)
            if forget_lost:
                ledger._load_without_lost()
            else:
                ledger.load(writing=True)
            yield from ledger._signed()
        finally:
            os.close(fd)

    def load(self, *, writing: bool = False) -> None:
        """Read the records. Raises LedgerDamaged where the log is not whole, or not as long as its sign says."""
        sign = self._sign()
        try:
            self.log.load(sign, writing=writing)
        except OSError as error:
            raise LedgerError(f"{self.directory}/log cannot be read: {error.strerror}", "mend the disk, then run again") from error

    def lose(self, what: str) -> None:
        """Note that records of this host are lost: whatever is noted from here on may be of our own making."""
        self.note(Step.FACT, note=f"{LOST} {what}")

    @property
    def lost(self) -> Record | None:
        """The first record that says so, or None."""
        return next((record for record in self.log.records if record.step is Step.FACT and record.note.startswith(f"{LOST} ")), None)

    @property
    def what_is_lost(self) -> str:
        """What was said of it when it was found; empty: nothing is lost."""
        return self.lost.note.partition(" ")[2] if self.lost is not None else ""

    def put_up_sign(self) -> None:
        """Write down, apart from the log, how far it goes. Raises LedgerError."""
        sign, disk, log = sign_of(self.state), self.machine.disk, f"{self.directory}/log"
        if self.beginning is None or Head.of(self._sign() or b"") == self.log.head:
            return
        try:
            if not disk.at(log).exists():
                return  # a reset was complete, and the ledger is gone
            for name in (log, self.directory, self.state):  # also what another process wrote, and was killed before it was on the disk
                disk.sync(name)
            disk.make_parents(sign)
            disk.replace(sign, self.log.head.sign(self.directory), Image(Form.FILE, mode=0o644))
        except OSError as error:
            raise LedgerError(f"{sign} cannot be written: {error.strerror}", "what was changed is noted; make room or mend the disk, then run again") from error

    def _signed(self) -> Iterator[Ledger]:
        """Let it be used, and put up the sign at the end, whatever the end is."""
        try:
            yield self
        except BaseException:
            with contextlib.suppress(LedgerError):
                self.put_up_sign()  # the older one is still true
            raise
        self.put_up_sign()

    def _sign(self) -> bytes | None:
        try:
            return read_sign(self.machine.disk, self.state)
        except OSError as error:
            raise LedgerError(f"{sign_of(self.state)} cannot be read: {error.strerror}", "mend it (it is a small file) or remove it, then run again") from error

    def _load_without_lost(self) -> None:
        sign = self._sign()
        try:
            self.log.forget_lost(sign, int(time.time()))
            self.log.load(None, writing=True)
        except OSError as error:
            raise LedgerError(f"{self.directory}/log cannot be mended: {error.strerror}", "make room or mend the disk, then run again") from error
        self.put_up_sign()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All things that were changed, in order."""
        return entries_of(self.log.records)

    @property
    def beginning(self) -> Record | None:
        """The record with which it was opened."""
        return next((record for record in self.log.records if record.step is Step.OPENED), None)

    def entry(self, thing: Thing) -> Entry | None:
        """Return the entry of ``thing`` that is still to be undone, or None."""
        return next((entry for entry in self.entries if entry.thing == thing and entry.is_open), None)

    def note(self, step: Step, thing: Thing | None = None, *, before: Image | None = None, after: Image | None = None, note: str = "") -> None:
        """Add a record."""
        record = Record(len(self.log.records) + 1, step, thing, before, after, note, int(time.time()))
        self.log.append(record)

    def hold(self, facts: Mapping[str, str]) -> None:
        """Note what holds of this host from now on, on the disk when this returns. A name has no blank."""
        known = facts_of(self.log.records)
        for name, value in facts.items():
            if known.get(name) != value:
                self.note(Step.FACT, note=f"{name} {value}")

    def remember(self, things: Iterable[Thing]) -> tuple[Thing, ...]:
        """Note what ``things`` are, those that are not noted yet, and return these. Call it before changing them."""
        known = {entry.thing for entry in self.entries if entry.is_open}
        new = [thing for thing in dict.fromkeys(things) if thing not in known]
        seen = [(thing, look(self.machine, thing)) for thing in new]  # all looked at before the first is noted
        for thing, found in seen:
            self._intent(thing, found)
        return tuple(new)

    def done(self, things: Iterable[Thing]) -> None:
        """Note what ``things`` have become, those of them that are noted."""
        for thing in things:
            entry = self.entry(thing)
            if entry is None:
                continue
            after = look(self.machine, thing).image
            if not entry.is_ours(after):
                self.note(Step.DONE, thing, after=after)

    def make(self, change: Change) -> bool:
        """Make ``change`` if the host is not so already; tell whether it was made. It is noted before and after.

        Raises CouldNotTell, LedgerError, NotPutBack with the reason.
        """
        match observe(change, self.machine):
            case Observed.UNKNOWN:
                raise CouldNotTell(f"{change.thing} cannot be looked at", "see whether the disk is sound, then run again")
            case Observed.SAME:
                return False
            case _:
                pass
        thing = change.thing
        found = look(self.machine, thing)
        after = change.after(found.image, self.machine)
        if thing.kind in {Kind.FILE, Kind.LINK, Kind.BLOCK}:
            self._refuse_directories(found, thing)
            self.make_parents(thing.name)
        if isinstance(change, Block):
            found = Seen(found.image, {**found.contents, after.sha256: change.wanted(self.machine)})
        if self.entry(thing) is None:
            self._intent(thing, found, after)
        else:
            self.note(Step.INTENT, thing, after=after)
        try:
            change.make(self.machine)
        except OSError as error:
            raise NotPutBack(f"cannot {change.describe()}: {error.strerror}", "see whether its file system is full or mounted read-only") from error
        if observe(change, self.machine) is not Observed.SAME:
            raise NotPutBack(f"cannot {change.describe()}: it is not so afterwards", "see what else on this host changes it")
        self.note(Step.DONE, thing, after=after)
        return True

    def import_entry(self, thing: Thing, found: Seen) -> None:
        """Note what an older journal says that ``thing`` was."""
        self._intent(thing, found)

    def make_parents(self, name: str) -> None:
        """Make the directories above ``name``, each one noted."""
        for directory in self.machine.disk.missing_parents(name):
            thing = Thing(Kind.PARENT, directory)
            if self.entry(thing) is None:
                self._intent(thing, Seen(ABSENT))
            try:
                self.machine.disk.mkdir(directory)
                self.machine.disk.sync(above(directory))
            except OSError as error:
                raise NotPutBack(f"cannot make {directory}: {error.strerror}", "see whether its file system is mounted read-only") from error

    def _refuse_directories(self, found: Seen, thing: Thing) -> None:
        if found.image.form in {Form.DIRECTORY, Form.OTHER}:
            raise NotPutBack(f"{thing.name} is a {found.image.form.value}, not a file", "move it away, then run again")

    def _intent(self, thing: Thing, found: Seen, after: Image | None = None) -> None:
        try:
            for sha256, data in found.contents.items():
                self.store.keep(sha256, data)
        except OSError as error:
            raise LedgerError(f"what {thing} is cannot be kept: {error.strerror}", "nothing was changed; make room on the disk, then run again") from error
        self.note(Step.INTENT, thing, before=found.image, after=after)

    def _make_directories(self) -> None:
        disk = self.machine.disk
        disk.make_parents(f"{self.directory}/content/x")
        for directory in (self.directory, f"{self.directory}/content"):
            disk.at(directory).chmod(0o700)


def _lock(fd: int, wait: float, where: str) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LedgerError(f"{where}/lock has been held by another process for {wait:.0f} s", f"see what it does: fuser -v {where}/lock") from None
            time.sleep(0.1)
        else:
            return
