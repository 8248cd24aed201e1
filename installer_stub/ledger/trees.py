"""A directory that had something in it before: what was added goes, what was changed or removed comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping

from installer_stub.changes.disk import above
from installer_stub.changes.image import Form, Image
from installer_stub.changes.things import walk
from installer_stub.errors import LedgerDamaged
from installer_stub.ledger.ledger import Entry, Ledger


def restore_tree(ledger: Ledger, entry: Entry) -> str:
    """Make the directory hold what its listing says, and look. Nothing is mounted below. Raises OSError, LedgerDamaged."""
    name = entry.thing.name
    wanted = listing(ledger, entry.before)
    contents = {image.sha256: ledger.store.content(image) for image in wanted.values()}  # all of them, before anything goes
    disk = ledger.machine.disk
    if not disk.at(name).is_dir():
        disk.make_parents(f"{name}/x")
        disk.dress(name, entry.before)
    for path in sorted(walk(ledger.machine, name), key=lambda path: path.count("/")):
        there = disk.at(f"{name}/{path}")
        if path in wanted or (not there.is_symlink() and not there.exists()):
            continue
        _remove(ledger, f"{name}/{path}", directory=there.is_dir() and not there.is_symlink())
    notes = [note for path, image in wanted.items() if (note := _restore(ledger, f"{name}/{path}", image, contents))]
    return "; ".join(notes)


def _restore(ledger: Ledger, name: str, before: Image, contents: Mapping[str, bytes]) -> str:
    disk = ledger.machine.disk
    now, _ = disk.seen(name)
    if now.form is not before.form and now.form is not Form.ABSENT:
        _remove(ledger, name, directory=now.form is Form.DIRECTORY)
        now = Image(Form.ABSENT)
    match before.form:
        case Form.DIRECTORY:
            if now.form is Form.ABSENT:
                disk.mkdir(name)
                disk.sync(above(name))
            if (now.mode, now.uid, now.gid) != (before.mode, before.uid, before.gid):
                disk.dress(name, before)
        case Form.FILE if not now.matches(before):
            disk.replace(name, contents[before.sha256], before)
        case Form.LINK if not now.matches(before):
            disk.replace_link(name, before.target)
        case Form.OTHER if now.form is Form.ABSENT:
            return f"{name}, a socket or a device, is gone"
        case _:
            pass
    return ""


def _remove(ledger: Ledger, name: str, *, directory: bool) -> None:
    if directory:
        ledger.machine.disk.remove_tree(name)
    else:
        ledger.machine.disk.remove(name)


def listing(ledger: Ledger, before: Image) -> dict[str, Image]:
    """Return what a directory held, by path below it. Raises LedgerDamaged."""
    try:
        value = json.loads(ledger.store.read(before.sha256))
        return {str(path): Image.of_json(image) for path, image in value.items()}
    except (ValueError, AttributeError) as error:
        raise LedgerDamaged(f"the listing of what was in it cannot be read: {error}", "put it right by hand, then name it with --abandon") from error
