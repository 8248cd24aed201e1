"""Record: one line of the ledger, with its number and a checksum. A line is whole or it is nothing.

``CRC32 JSON``: eight hexadecimal digits over the JSON's bytes, a blank, the JSON in its one canonical spelling.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from installer_stub.changes.image import Image
from installer_stub.changes.things import Kind, Thing

LOST: Final = "lost"
"""The fact that records of this ledger were lost and a person said to go on: what they named stays as it is."""


class Step(StrEnum):
    """What a record says."""

    OPENED = "opened"  # the ledger begins; ``note`` has the hash of the host's snapshot, empty where none could be taken
    INTENT = "intent"  # a thing is about to be changed: written, with what it was, before the change
    DONE = "done"  # it was changed, and this is what it is now
    UNDOING = "undoing"  # its before-image is about to be put back
    UNDONE = "undone"  # and that was looked at
    ABANDONED = "abandoned"  # a person said that it shall stay as it is
    FACT = "fact"  # what was done here and changed no thing: ``note`` is its name, a blank, and its latest value
    IMPORTED = "imported"  # the journal of an older airseal is in the ledger from here on


@dataclass(frozen=True, slots=True)
class Record:
    """``number`` counts from 1 without a gap. ``before`` is set in an intent, ``after`` where it is known."""

    number: int
    step: Step
    thing: Thing | None = None
    before: Image | None = None
    after: Image | None = None
    note: str = ""
    time: int = 0  # seconds since 1970, by the host's clock


def encode(record: Record) -> bytes:
    """Return the line."""
    fields: dict[str, object] = {"n": record.number, "step": record.step.value, "time": record.time}
    if record.thing is not None:
        fields |= {"kind": record.thing.kind.value, "name": record.thing.name}
    if record.before is not None:
        fields["before"] = record.before.to_json()
    if record.after is not None:
        fields["after"] = record.after.to_json()
    if record.note:
        fields["note"] = record.note
    text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode(line: bytes) -> Record | None:
    """Return the record of a line without its newline, or None: torn, altered, or not of ours."""
    digits, blank, text = line.partition(b" ")
    if not blank or digits != b"%08x" % zlib.crc32(text):
        return None
    try:
        value = json.loads(text)
        thing = Thing(Kind(value["kind"]), str(value["name"])) if "kind" in value else None
        return Record(
            number=int(value["n"]),
            step=Step(value["step"]),
            thing=thing,
            before=Image.of_json(value["before"]) if "before" in value else None,
            after=Image.of_json(value["after"]) if "after" in value else None,
            note=str(value.get("note", "")),
            time=int(value["time"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
