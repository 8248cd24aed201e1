"""Receipt: what the build proved with the finished file, sealed into it as ``airseal/rehearsal.json``.

A file without one was made by an airseal that knew of none; one that says ``skipped`` was sealed without proof, on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from installer_stub.bundle.canonical import SEALED_AGAIN, count, parse, refusing, write
from installer_stub.bundle.names import RECEIPT
from installer_stub.errors import BundleError

FORMAT: Final = "airseal.rehearsal/1"
MOST: Final = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Forced:
    """One thing that no installation brings about, and how often it was made to happen: ``CronJobs run``, 3."""

    what: str
    count: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """``began`` in seconds since 1970, ``seconds`` of all of it. ``file`` is the SHA-256 of the file that was installed.

    That file is this one without the receipt: sealing is deterministic, so whoever seals it again without gets those bytes.
    """

    skipped: bool = False
    topology: str = ""  # masters+nodes
    file: str = ""
    began: int = 0
    seconds: int = 0
    airseal: str = ""
    kubernetes: str = ""
    engine: str = ""
    forced: tuple[Forced, ...] = ()
    notes: tuple[str, ...] = ()  # what was seen and is no failure
    allowed: tuple[str, ...] = ()  # what the build let pass: the internet, contacts by name

    def line(self) -> str:
        """Say it in one line."""
        if self.skipped:
            return "NOT rehearsed: it was sealed without (--skip-rehearsal, or airseal seal), so nobody has installed it yet"
        done = ", ".join(f"{each.count} {each.what}" for each in self.forced if each.count)
        return f"rehearsed on {self.topology} without a network in {self.seconds} s{f': {done}' if done else ''}"


def to_json(receipt: Receipt) -> dict[str, object]:
    """Return it for machines, as it stands in the document."""
    return {
        "format": FORMAT,
        "skipped": receipt.skipped,
        "topology": receipt.topology,
        "file": receipt.file,
        "began": receipt.began,
        "seconds": receipt.seconds,
        "airseal": receipt.airseal,
        "kubernetes": receipt.kubernetes,
        "engine": receipt.engine,
        "forced": [{"what": each.what, "count": each.count} for each in receipt.forced],
        "notes": list(receipt.notes),
        "allowed": list(receipt.allowed),
    }


def encode(receipt: Receipt) -> bytes:
    """Return the document: the same bytes for the same values."""
    return write(to_json(receipt))


def decode(raw: bytes) -> Receipt:
    """Return what the document says. Raises BundleError for any other bytes than ``encode`` would write."""
    value = parse(raw, RECEIPT, FORMAT)
    with refusing(RECEIPT):
        receipt = Receipt(
            skipped=bool(value["skipped"]),
            topology=str(value["topology"]),
            file=str(value["file"]),
            began=count(value["began"]),
            seconds=count(value["seconds"]),
            airseal=str(value["airseal"]),
            kubernetes=str(value["kubernetes"]),
            engine=str(value["engine"]),
            forced=tuple(Forced(str(each["what"]), count(each["count"])) for each in value["forced"]),
            notes=tuple(map(str, value["notes"])),
            allowed=tuple(map(str, value["allowed"])),
        )
        written = encode(receipt)
    if written != raw:
        raise BundleError(f"{RECEIPT} says more, or in another way, than it has to", SEALED_AGAIN)
    return receipt
