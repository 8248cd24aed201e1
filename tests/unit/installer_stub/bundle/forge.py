"""A file as somebody makes it who can seal: every sum in it is right, and it says what they like."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from installer_stub.bundle.names import BOOTLOADER, BUNDLE, PACKAGE, STUB, file_order, is_signature
from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.zip_format import Entry, alignment_of, directory, local_header, place

Alter = Callable[[Any], None]


@dataclass
class Forged:
    """The content of an artifact, to be altered and sealed again. ``entries`` are all but bundle.json."""

    bootloader: bytes
    entries: dict[str, bytes]
    document: dict[str, Any]
    signatures: dict[str, bytes] = field(default_factory=dict)
    raw: bytes | None = None  # of bundle.json, instead of the document

    @classmethod
    def of(cls, path: Path) -> Forged:
        with Bundle.open(path) as bundle:
            entries = {}
            for name in bundle.names():
                with bundle.extent(name) as extent:
                    entries[name] = extent.read(extent.size)
            with bundle.bootloader() as extent:
                bootloader = extent.read(extent.size)
        document = json.loads(entries.pop(BUNDLE))
        signatures = {name: entries.pop(name) for name in list(entries) if is_signature(name)}
        return cls(bootloader, entries, document, signatures)

    def put(self, name: str, data: bytes) -> Forged:
        """Put another entry there, or another content of one that is."""
        self.entries[name] = data
        return self

    def bundle_json(self) -> bytes:
        """Return bundle.json with sums that are right."""
        if self.raw is not None:
            return self.raw
        parts = {name: data for name, data in self.entries.items() if not name.startswith("blobs/")}
        parts |= {BOOTLOADER: self.bootloader, STUB: self.bootloader + self.entries[PACKAGE]}
        self.document["parts"] = {name: _part(data) for name, data in sorted(parts.items())}
        blobs = {_digest(data): len(data) for name, data in self.entries.items() if name.startswith("blobs/")}
        self.document["blobs"] = dict(sorted(blobs.items()))
        return json.dumps(self.document, indent=1, ensure_ascii=False).encode() + b"\n"

    def seal(self, target: Path) -> Path:
        """Write it, laid out as airseal does."""
        entries: Mapping[str, bytes] = {**self.entries, **self.signatures, BUNDLE: self.bundle_json()}
        ordered = sorted(entries, key=file_order)
        placed = place([Entry(name, len(entries[name]), 0o644, alignment_of(name)) for name in ordered], len(self.bootloader))
        crcs = [zlib.crc32(entries[name]) for name in ordered]
        with target.open("wb") as file:
            file.write(self.bootloader)
            for item, crc in zip(placed, crcs, strict=True):
                file.write(local_header(item, crc) + entries[item.entry.name])
            file.write(directory(placed, crcs))
        return target


def _part(data: bytes) -> dict[str, object]:
    return {"digest": _digest(data), "size": len(data)}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
