"""What was set aside with ``--take`` comes back: one rename each, over an empty directory too. What is in the way stays."""

from __future__ import annotations

import json
from typing import Final

from installer_stub.changes.disk import above
from installer_stub.changes.image import Form, Image
from installer_stub.errors import LedgerDamaged, NotPutBack
from installer_stub.ledger.ledger import Ledger

_LIMIT: Final = 65536  # bytes


def give_back(ledger: Ledger) -> list[str]:
    """Rename everything back that ``aside.json`` names. Raises NotPutBack, LedgerDamaged, OSError; it can be begun again."""
    path = f"{ledger.state}/aside.json"
    done = []
    left = _read(ledger, path)
    for directory, aside in tuple(left.items()):
        _back(ledger, directory, aside)
        del left[directory]
        data = json.dumps(left).encode() + b"\n"
        ledger.machine.disk.replace(path, data, Image(Form.FILE, mode=0o600))
        done.append(f"directory {directory}")
    return done


def _back(ledger: Ledger, directory: str, aside: str) -> None:
    disk = ledger.machine.disk
    if disk.seen(aside)[0].form is Form.ABSENT:
        return  # it is back already, or it was never moved: the record is written first
    now = disk.seen(directory)[0].form
    if now is Form.DIRECTORY and not any(disk.at(directory).iterdir()):
        disk.remove_directory(directory)
    elif now is not Form.ABSENT:
        raise NotPutBack(f"{aside} cannot be renamed back to {directory}: something is there", f"move {directory} away, then run reset again")
    disk.make_parents(directory)
    disk.rename(aside, directory)
    disk.sync(above(directory))


def _read(ledger: Ledger, path: str) -> dict[str, str]:
    try:
        with ledger.machine.disk.at(path).open("rb") as stream:
            value = json.loads(stream.read(_LIMIT))
        return {str(directory): str(aside) for directory, aside in value.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError):
        raise LedgerDamaged(
            f"{path} is damaged: what was set aside cannot be told from it",
            f"look for directories that end in .before-airseal, rename them back by hand, and remove {path}",
        ) from None
