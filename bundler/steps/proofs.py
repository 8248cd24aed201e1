"""Receipts of rehearsals as they are kept: each with the digest of the content that it is for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from bundler.steps.shelf import Shelf
from installer_stub.bundle import receipt as receipts
from installer_stub.bundle.model import BundleInfo
from installer_stub.bundle.receipt import Receipt
from installer_stub.errors import BundleError
from registry_snapshot.oci.digest import Digest

STEP: Final = "rehearse"
FORMAT: Final = "airseal.step.rehearse/1"


def keep(cache: Path, key: str, content: Digest, receipt: Receipt) -> None:
    """Keep a receipt. Raises StoreError, OSError."""
    value = {"format": FORMAT, "content": str(content), "receipt": receipts.encode(receipt).decode()}
    Shelf(cache, STEP).put(key, json.dumps(value, indent=1).encode())


def known(cache: Path, key: str) -> Receipt | None:
    """Return the receipt that is kept under ``key``, if it is."""
    found = _decode(Shelf(cache, STEP).get(key) or b"")
    return found[1] if found else None


def none_of(info: BundleInfo, allowed: tuple[str, ...]) -> Receipt:
    """Return the receipt of a file that nobody rehearsed: the same bytes for the same content."""
    return Receipt(skipped=True, airseal=info.airseal, kubernetes=info.kubernetes, allowed=allowed)


def names_of(cache: Path, content: Digest) -> tuple[str, ...]:
    """Return the names, ``rehearse/KEY``, of all receipts for this content."""
    found = ((key, _decode(raw)) for key, raw in Shelf(cache, STEP).newest())
    return tuple(f"{STEP}/{key}" for key, each in found if each and each[0] == str(content))


def proof_of(cache: Path, content: Digest, allowed: tuple[str, ...]) -> Receipt | None:
    """Return the last receipt for the very same content whose recording was let do the same, if there is one."""
    found = (_decode(raw) for _, raw in Shelf(cache, STEP).newest())
    return next((each[1] for each in found if each and each[0] == str(content) and each[1].allowed == allowed), None)


def _decode(raw: bytes) -> tuple[str, Receipt] | None:
    try:
        value = json.loads(raw)
        return (str(value["content"]), receipts.decode(value["receipt"].encode())) if value["format"] == FORMAT else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BundleError):  # of another version, or torn: it is rehearsed again
        return None
