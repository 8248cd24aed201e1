"""Sign: says, apart from a host's ledger, that there is one and how far its log went. What is lost of a log later is missed.

Written after the log's records are safe on disk, so a log is never shorter than its sign says, whatever a power cut leaves.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from installer_stub.changes.disk import Disk
from installer_stub.errors import LedgerDamaged
from installer_stub.plan.model import STATE

_SAYS: Final = "What airseal changed on this host stands in {directory}.\n"
_WENT: Final = "Its log went so far: {records} records, {size} bytes, sha256 {sha256}.\n"
_READ: Final = re.compile(r"^Its log went so far: (\d{1,12}) records, (\d{1,12}) bytes, sha256 ([0-9a-f]{64})\.\n", re.MULTILINE | re.ASCII)
_MOST: Final = 4096  # bytes of a sign; it has 200


def sign_of(state: str) -> str:
    """Return where the sign of the ledger below ``state`` stands."""
    return "/etc/airseal/ledger" if state == STATE else f"{state}/ledger.begun"


def read_sign(disk: Disk, state: str) -> bytes | None:
    """Return what the sign of the ledger below ``state`` holds, None where there is none. Raises OSError."""
    try:
        with disk.at(sign_of(state)).open("rb") as stream:
            return stream.read(_MOST)
    except FileNotFoundError:
        return None


@dataclass(frozen=True, slots=True)
class Head:
    """How far a log went: its records, and the length and hash of the bytes that they are."""

    records: int
    size: int
    sha256: str

    @classmethod
    def of(cls, sign: bytes) -> Head | None:
        """Return what a sign says of the log; None: it is of an older airseal, or torn."""
        found = _READ.search(sign[:_MOST].decode(errors="replace"))
        return cls(int(found[1]), int(found[2]), found[3]) if found else None

    def sign(self, directory: str) -> bytes:
        """Return the sign of the ledger in ``directory``."""
        return (_SAYS.format(directory=directory) + _WENT.format(records=self.records, size=self.size, sha256=self.sha256)).encode()

    def begins(self, data: bytes) -> bool:
        """Tell whether ``data`` begins with what there was when the head was written down."""
        return len(data) >= self.size and hashlib.sha256(data[: self.size]).hexdigest() == self.sha256


def lost_of(sign: bytes | None, data: bytes, records: int) -> str:
    """Say what is missing of a log ``data`` with so many whole ``records``, by its sign; empty: nothing, as far as the sign tells.

    A sign that does not say how far the log went still says that there was one.
    """
    if sign is None:
        return ""
    head = Head.of(sign)
    if head is None:
        return "" if records else "all of its records are lost"
    if head.begins(data):
        return ""
    if records >= head.records:
        return f"its {head.records} records are not those that were written down"
    return f"{head.records - records if records else 'all'} of its {head.records} records are lost"


def require_whole(sign: bytes | None, data: bytes, records: int, path: str) -> None:
    """Raise LedgerDamaged where the log at ``path`` is not what its sign says."""
    if lost := lost_of(sign, data, records):
        raise damaged(f"{path} is damaged: {lost}", path)


def damaged(problem: str, path: str) -> LedgerDamaged:
    """Return the error of a log that is not whole, with the ways out of it."""
    return LedgerDamaged(
        f"{problem}; what was changed there is not known",
        f"put {path} back from a backup; or go on with what is whole of it, and a reset leaves what the lost records name as it is. "
        "On that host: /opt/airseal/bin/airseal host ledger forget-lost (what the log still says: /opt/airseal/bin/airseal host ledger show)",
    )
