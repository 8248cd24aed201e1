"""What is wrong with a file that does not open as a bundle, in the words of the person who holds it."""

from __future__ import annotations

import os
from typing import Final

from installer_stub.bundle.documents import decode_bundle
from installer_stub.bundle.names import BUNDLE, OCI_LAYOUT, is_signature
from installer_stub.bundle.zip_format import Placed, directory, place, read_local
from installer_stub.errors import BundleError

COPY_AGAIN: Final = "copy the file again from where it came from and compare both with sha256sum"
_HEAD = 4 * 1024 * 1024  # a bootloader has 70 to 100 KB
_TAIL = 64 * 1024
_NAME_OFFSET = 30  # of a local header's name: APPNOTE 4.3.7
_PYINSTALLER = b"MEI\x0c\x0b\x0a\x0b\x0e"  # the cookie of a package, PyInstaller's pyi_archive.h
MAX_DOCUMENT: Final = 64 * 1024 * 1024  # of bundle.json, the lock, the list of files: those of a large bundle have one


def explain(fd: int, size: int, path: str, reason: str) -> BundleError:
    """Return the error for the file ``fd`` of ``size`` bytes, which is no whole bundle because of ``reason``."""
    if size == 0:
        return BundleError(f"{path} is empty", COPY_AGAIN)
    head = os.pread(fd, _HEAD, 0)
    first = _first_entry(head)
    if first is not None:
        return _altered(fd, size, path, reason, _sealed_size(fd, first))
    if head.startswith(b"\x7fELF") and _PYINSTALLER in os.pread(fd, _TAIL, max(size - _TAIL, 0)):
        return BundleError(f"{path} is the installer alone: there is no bundle in it", "name an artifact (.run)")
    if head.startswith(b"PK") or b"PK\x05\x06" in os.pread(fd, _TAIL, max(size - _TAIL, 0)):
        return BundleError(f"{path} is a ZIP archive, but no airseal artifact", "name an artifact (.run) made by airseal")
    return BundleError(f"{path} is no airseal artifact", f"name an artifact (.run) made by airseal; if this is one, {COPY_AGAIN}")


def _altered(fd: int, size: int, path: str, reason: str, sealed: int | None) -> BundleError:
    del fd
    if sealed is None:
        return BundleError(f"{path} is cut short or altered: {reason}", COPY_AGAIN)
    if size < sealed:
        return BundleError(f"{path} is cut short: {size} of {sealed} bytes are there", COPY_AGAIN)
    if size > sealed:
        return BundleError(f"{path} is {size - sealed} bytes longer than it was sealed", COPY_AGAIN)
    return BundleError(f"{path} is altered: {reason}", COPY_AGAIN)


def _first_entry(head: bytes) -> int | None:
    name = OCI_LAYOUT.encode()
    at = head.find(b"PK\x03\x04")
    while at >= 0:
        if head[at + _NAME_OFFSET : at + _NAME_OFFSET + len(name)] == name:
            return at
        at = head.find(b"PK\x03\x04", at + 1)
    return None


def _sealed_size(fd: int, first: int) -> int | None:
    offset = first
    for _ in range(3):  # oci-layout, index.json, airseal/bundle.json
        item = _small(fd, offset)
        if item is None:
            return None
        if item.entry.name == BUNDLE:
            raw = os.pread(fd, item.entry.size, item.data)
            try:
                document = decode_bundle(raw)
                placed = place(document.layout(len(raw), _signatures(fd, item.end, len(document.publishers))), first)
            except BundleError:
                return None
            return placed[-1].end + len(directory(placed, [0] * len(placed)))
        offset = item.end
    return None


def _signatures(fd: int, offset: int, count: int) -> dict[str, int]:
    found: dict[str, int] = {}
    while len(found) < count and (item := _small(fd, offset)) is not None and is_signature(item.entry.name):
        found[item.entry.name] = item.entry.size
        offset = item.end
    return found


def _small(fd: int, offset: int) -> Placed | None:
    item = read_local(fd, offset)
    return item if item is not None and item.entry.size <= MAX_DOCUMENT else None
