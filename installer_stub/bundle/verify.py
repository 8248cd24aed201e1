"""Recompute everything an artifact says about itself, and find any byte that belongs to nothing.

The file must be exactly what the writer would have written: bootloader, headers and padding, every entry, directory. So
nothing can be added before, between or behind them, and what is there hashes to what ``airseal/bundle.json`` says.
"""

from __future__ import annotations

import hashlib
import os
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from installer_stub.bundle.damage import COPY_AGAIN
from installer_stub.bundle.documents import BOOTLOADER, BUNDLE, PACKAGE, STUB, BundleDocument
from installer_stub.bundle.zip_format import Placed, local_header
from installer_stub.errors import BundleError
from registry_snapshot.oci.digest import Digest, Hasher

PIECE: Final = 1024 * 1024
_SHOWN = 20  # problems named in one message


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found to be right. ``digest`` is that of ``airseal/bundle.json`` and stands for the whole file."""

    digest: Digest
    size: int
    entries: int


def measure(fd: int, offset: int, size: int, hashers: Sequence[Hasher], moved: Callable[[int], None]) -> int:
    """Feed ``size`` bytes from ``offset`` to ``hashers`` and return their CRC-32. Raises BundleError when bytes are missing.

    hashlib and zlib let go of the interpreter lock, so several of these run at once.
    """
    buffer = memoryview(bytearray(min(PIECE, max(size, 1))))
    crc, done = 0, 0
    while done < size:
        try:
            count = os.preadv(fd, [buffer[: size - done]], offset + done)
        except OSError as error:
            raise BundleError(f"the file cannot be read at byte {offset + done}: {error.strerror}", COPY_AGAIN) from None
        if count == 0:
            raise BundleError(f"the file ends at byte {offset + done}", COPY_AGAIN)
        for hasher in hashers:
            hasher.update(buffer[:count])
        crc = zlib.crc32(buffer[:count], crc)
        done += count
        moved(count)
    return crc


class Verification:
    """One pass over one file."""

    def __init__(
        self, fd: int, document: BundleDocument, placed: Sequence[Placed], crcs: Sequence[int], moved: Callable[[int], None],
    ) -> None:
        self._fd = fd
        self._document = document
        self._wanted = document.entries()
        self._entries = tuple(zip(placed, crcs, strict=True))
        self._lock = threading.Lock()
        self._counted = 0
        self._moved = moved

    def run(self) -> list[str]:
        """Return every problem found, as sentences. Raises BundleError when the file cannot be read to its end."""
        largest_first = sorted(self._entries, key=lambda item: -item[0].entry.size)
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as workers:
            found = list(workers.map(self._entry, largest_first))
            problems = [*self._stub(), *(problem for problems in found for problem in problems)]
        self._rest()
        return problems

    def _entry(self, item: tuple[Placed, int]) -> Iterable[str]:
        placed, crc = item
        entry = placed.entry
        wanted = self._wanted.get(entry.name)
        hasher = wanted.digest.hasher() if wanted else hashlib.sha256()
        problems = []
        if measure(self._fd, placed.data, entry.size, [hasher], self._count) != crc:
            problems.append(f"{entry.name} does not match its CRC-32")
        if wanted and hasher.hexdigest() != wanted.digest.encoded:
            problems.append(f"{entry.name} is not {wanted.digest}")
        if not wanted and entry.name != BUNDLE:
            problems.append(f"{entry.name} belongs to nothing")
        if os.pread(self._fd, placed.data - placed.header, placed.header) != local_header(placed, crc):
            problems.append(f"the bytes before {entry.name} are not its header and padding")
        return problems

    def _stub(self) -> Iterable[str]:
        package = next(placed for placed, _ in self._entries if placed.entry.name == PACKAGE)
        bootloader, whole = hashlib.sha256(), hashlib.sha256()
        size = self._entries[0][0].header
        measure(self._fd, 0, size, [bootloader, whole], self._count)
        measure(self._fd, package.data, package.entry.size, [whole], _ignore)
        for name, hasher, length in (
            (BOOTLOADER, bootloader, size),
            (STUB, whole, size + package.entry.size),
        ):
            part = self._document.parts[name]
            if (part.digest.encoded, part.size) != (hasher.hexdigest(), length):
                yield f"the {name} is not {part.digest}"

    def _count(self, count: int) -> None:
        with self._lock:
            self._counted += count
            self._moved(count)

    def _rest(self) -> None:
        """Tell of headers, padding and directory too, so that the sum is the file's size and a progress bar ends."""
        self._moved(os.fstat(self._fd).st_size - self._counted)


def raise_for(problems: Sequence[str], path: str) -> None:
    """Raise the BundleError that lists ``problems``, if there are any."""
    if not problems:
        return
    shown = "".join(f"\n  - {problem}" for problem in problems[:_SHOWN])
    more = f"\n  - and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    raise BundleError(f"{path} is altered:{shown}{more}", COPY_AGAIN)


def _ignore(count: int) -> None:
    del count
