"""Leaving: a host that undoes itself says so before anything goes, and no longer once nothing of the cluster is left.

Until then nobody takes it for a member, for absent, or for a join that may be cleaned: what was begun here is finished here.
"""

from __future__ import annotations

import contextlib
from pathlib import PurePosixPath
from typing import Final

from installer_stub.changes.disk import Disk
from installer_stub.changes.image import Form, Image
from installer_stub.errors import NotPutBack
from installer_stub.membership.evidence import EARLIER_MARK
from installer_stub.membership.record import PATH, Record, Stage, parse, render

_NAMES: Final = tuple(PurePosixPath(path).name for path in (EARLIER_MARK, PATH))  # the record last: it speaks as long as there is a mark


def record_in(state: str) -> str:
    """Return the host's record below ``state``."""
    return f"{state}/{PurePosixPath(PATH).name}"


def begin(disk: Disk, state: str) -> None:
    """Make the host's word *leaving*, on the disk when this returns. Raises NotPutBack: then nothing may be taken off."""
    path = record_in(state)
    try:
        known = parse(disk.seen(path)[1])
        if known is not None and known.stage is Stage.LEAVING:
            return
        disk.replace(path, render(Record(Stage.LEAVING, known.authority if known is not None else "")), Image(Form.FILE, mode=0o600))
    except OSError as error:
        raise NotPutBack(f"{path} cannot be written: {error.strerror}; nothing was taken off", "mend the disk (df, dmesg), then run reset again") from error


def end(disk: Disk, state: str) -> None:
    """Take every word of a membership away. Raises OSError."""
    for name in _NAMES:
        with contextlib.suppress(FileNotFoundError):
            disk.remove(f"{state}/{name}")
