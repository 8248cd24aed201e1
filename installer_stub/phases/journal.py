"""Journal: what was changed on a host, noted there before it is changed. The host writes it down itself (``ledger/``).

Over an agent that is one question, which the agent answers in its own process, and an error of the ledger comes back by its
name. Any other connection starts the stub for it, and gives a CommandFailed. What is noted already is read without either.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from installer_stub.changes.image import Form, Image
from installer_stub.changes.things import Kind, Thing
from installer_stub.errors import HostError, LedgerDamaged
from installer_stub.host.command import Command, Secret
from installer_stub.host.connection import Connection, read_all
from installer_stub.ledger.ledger import Entry as LedgerEntry
from installer_stub.ledger.ledger import entries_of, facts_of
from installer_stub.ledger.log import parse
from installer_stub.ledger.record import Record, Step
from installer_stub.ledger.report import Left, Report
from installer_stub.ledger.sign import Head, sign_of
from installer_stub.plan.guard import Guarded
from installer_stub.plan.model import STATE

_TIMEOUT: Final = 300.0  # seconds; a snapshot of a host takes two, and it may have to wait for another process

__all__ = ["Entry", "Journal", "Kind"]


class File(Protocol):
    """A file of a host, as phases have them."""

    @property
    def path(self) -> str:
        """Where it stands."""

    @property
    def text(self) -> str:
        """What it holds."""

    @property
    def mode(self) -> int:
        """Its permission bits."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A thing that is noted, and what it was: its value, or where its bytes are kept. None: it was not there."""

    kind: Kind
    name: str
    previous: str | None


@dataclass(frozen=True, slots=True)
class _Text:
    path: str
    text: str
    mode: int


class Journal:
    """The ledger of the host at the other end of ``connection``."""

    def __init__(self, connection: Connection, state: str = STATE) -> None:
        self._connection = connection
        self._state = state
        self._log = f"{state}/ledger/log"

    def entries(self) -> tuple[Entry, ...]:
        """Return what is noted and not undone. Raises LedgerDamaged."""
        return tuple(Entry(entry.thing.kind, entry.thing.name, self._previous(entry.before)) for entry in self._open())

    def is_begun(self) -> bool:
        """Tell whether the host has noted how it was, and a sign says apart from the ledger how far that goes. Raises LedgerDamaged."""
        log, sign = self._read()
        head = Head.of(sign or b"")
        records, size = self._parsed(log, sign)
        return any(record.step is Step.OPENED for record in records) and head is not None and head.size == size

    def begin(self, *, measure: bool) -> None:
        """Begin the ledger before anything is changed; ``measure``: with a snapshot of the host. Safe to call again."""
        self._ask("open", "note how the host is", measure=measure)

    def remember(self, *things: tuple[Kind, str]) -> None:
        """Note what ``things`` are now, those that are not noted yet. Call it before changing them.

        Raises NotPlanned where the plan of the step at work does not name them.
        """
        noted = {(entry.thing.kind, entry.thing.name) for entry in self._open()}
        new = [thing for thing in dict.fromkeys(things) if thing not in noted]
        self._require(Thing(kind, name) for kind, name in new)
        if new:
            self._ask("remember", "write the journal", things=_listed(new))

    def done(self, *things: tuple[Kind, str]) -> None:
        """Note what ``things`` have become. What somebody changes after that is left alone by a reset."""
        self._ask("done", "write the journal", things=_listed(things))

    def write(self, path: str, content: str, *, mode: int = 0o644) -> bool:
        """Make ``path`` hold ``content``, noted before and after. Tell whether anything changed."""
        return bool(self.write_all([_Text(path, content, mode)]))

    def write_all(self, files: Iterable[File]) -> tuple[str, ...]:
        """Write several files in one go, in their order. Return the paths of those that changed."""
        listed = tuple(files)
        there = read_all(self._connection, (file.path for file in listed))
        wanted = [file for file in listed if there[file.path] != file.text.encode()]
        if not wanted:
            return ()
        self._require(Thing(Kind.FILE, file.path) for file in wanted)
        contents = [{"path": file.path, "content": base64.b64encode(file.text.encode()).decode(), "mode": file.mode} for file in wanted]
        what = "write " + ", ".join(file.path for file in wanted)
        answer = self._ask("write", what, files=contents)
        return tuple(str(path) for path in _list(answer, "changed"))

    def damaged(self) -> tuple[tuple[Left, ...], tuple[str, ...]]:
        """Return what a reset could not put back as it was, and why; and files of which ``begin`` keeps again what is proven. Looks only."""
        answer = self._ask("check", "")
        lost = (each for each in _list(answer, "lost") if isinstance(each, dict))
        return tuple(Left(str(each.get("name")), str(each.get("why"))) for each in lost), tuple(map(str, _list(answer, "mendable")))

    def facts(self) -> dict[str, str]:
        """Return what holds of this host, by name. Raises LedgerDamaged."""
        return facts_of(self._records())

    def hold(self, facts: Mapping[str, str]) -> None:
        """Note what holds of this host from now on; it outlives a power cut. A name has no blank."""
        known = self.facts()
        new = {name: value for name, value in facts.items() if known.get(name) != value}
        if new:
            self._ask("hold", "write the journal", facts=new)

    def restore(self) -> tuple[str, ...]:
        """Put everything back, last change first. Return what could not be put back. Safe to run twice."""
        answer = self._ask("restore", "put the host back as it was")
        return tuple(f"{left.name}: {left.why}" for left in Report.of_json(json.dumps(answer)).left)

    def _require(self, things: Iterable[Thing]) -> None:
        if isinstance(self._connection, Guarded):
            self._connection.require(things)

    def _open(self) -> tuple[LedgerEntry, ...]:
        return tuple(entry for entry in entries_of(self._records()) if entry.is_open)

    def _records(self) -> tuple[Record, ...]:
        records, _ = self._parsed(*self._read())
        return records

    def _read(self) -> tuple[bytes, bytes | None]:
        """Return the log and the ledger's sign, which is read first: a log that grows meanwhile is longer than its sign, as it may be."""
        sign = sign_of(self._state)
        there = read_all(self._connection, (sign, self._log))
        return there[self._log] or b"", there[sign]

    def _parsed(self, log: bytes, sign: bytes | None) -> tuple[tuple[Record, ...], int]:
        try:
            return parse(log, self._log, sign)
        except LedgerDamaged as error:
            error.problem = f"{self._connection.host.address}: {error.problem}"
            raise

    def _previous(self, before: Image) -> str | None:
        match before.form:
            case Form.ABSENT:
                return None
            case Form.FILE:
                return f"{self._state}/ledger/content/{before.sha256}"
            case Form.LINK:
                return before.target
            case _:
                return before.value

    def _ask(self, action: str, changes: str, **request: object) -> dict[str, object]:
        word = ("ledger", action, *(() if self._state == STATE else ("--state", self._state)))
        # Files hold logins: no log may show what is sent.
        command = Command.of_stub(*word, changes=changes, stdin=Secret(json.dumps(request)))
        result = self._connection.run(command, timeout=_TIMEOUT)
        try:
            answer = json.loads(result.stdout)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise HostError(self._connection.host.address, f"{command} gave no answer: {result.stdout[:200]!r}", "run again")
        return answer


def _listed(things: Iterable[tuple[Kind, str]]) -> list[dict[str, str]]:
    return [{"kind": thing.kind.value, "name": thing.name} for thing in (Thing(kind, name) for kind, name in things)]


def _list(answer: dict[str, object], name: str) -> list[object]:
    value = answer.get(name)
    return value if isinstance(value, list) else []
