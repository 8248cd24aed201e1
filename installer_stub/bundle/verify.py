"""Recompute everything an artifact says about itself, and find any byte that belongs to nothing.

The file must be exactly what the writer would have written: bootloader, headers and padding, every entry, directory. So
nothing can be added before, between or behind them, and what is there hashes to what ``airseal/bundle.json`` says.

It is read once, from its first byte to its last: what comes off a stick fastest, and the only way in which the SHA-256 of
the whole file is that of the very bytes that were found to be right. A stick may answer differently the next time.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final

from installer_stub.bundle.damage import COPY_AGAIN
from installer_stub.bundle.documents import BundleDocument, Part
from installer_stub.bundle.names import BOOTLOADER, BUNDLE, PACKAGE, STUB, is_signature
from installer_stub.bundle.zip_format import Placed, directory, local_header
from installer_stub.errors import BundleError
from registry_snapshot.oci.digest import Digest, Hasher

PIECE: Final = 1024 * 1024
_PIECES = 4  # on their way between the reader and the hashers
_SHOWN = 20  # problems named in one message


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found to be right. ``digest`` is that of ``airseal/bundle.json``, ``sha256`` the file's own, in hex."""

    digest: Digest
    size: int
    entries: int
    sha256: str


@dataclass(slots=True)
class _Region:
    """Some bytes of the file: either known beforehand, or to be hashed."""

    size: int
    known: bytes | None = None
    hashers: tuple[Hasher, ...] = ()
    crc: int = 0
    seen: bytearray = field(default_factory=bytearray)

    def look(self, piece: memoryview) -> None:
        """Take the next bytes; hashing them is left to ``hash``."""
        if self.known is None:
            self.crc = zlib.crc32(piece, self.crc)
        else:
            self.seen += piece

    def hash(self, piece: memoryview) -> None:
        """Hash the next bytes. hashlib lets go of the interpreter lock."""
        for hasher in self.hashers:
            hasher.update(piece)


class Verification:
    """One pass over one file."""

    def __init__(
        self, fd: int, document: BundleDocument, placed: Sequence[Placed], crcs: Sequence[int], *, own: Part, moved: Callable[[int], None]
    ) -> None:
        """``own`` is what the document itself was when it was read."""
        self._fd = fd
        self._size = os.fstat(fd).st_size
        self._document = document
        self._wanted = document.entries() | {BUNDLE: own}
        self._entries = tuple(zip(placed, crcs, strict=True))
        self._moved = moved
        self._bootloader, self._stub = hashlib.sha256(), hashlib.sha256()
        self.sha256 = ""  # of the whole file, once ``run`` has ended

    def run(self) -> list[str]:
        """Return every problem found, as sentences. Raises BundleError when the file cannot be read to its end."""
        heads = [_Region(placed.data - placed.header, local_header(placed, crc)) for placed, crc in self._entries]
        bodies = [self._body(placed) for placed, _ in self._entries]
        last, crcs = self._entries[-1][0], [crc for _, crc in self._entries]
        tail = directory([placed for placed, _ in self._entries], crcs)
        regions = [_Region(self._entries[0][0].header, hashers=(self._bootloader, self._stub))]
        regions += [region for pair in zip(heads, bodies, strict=True) for region in pair]
        regions.append(_Region(self._size - last.end, tail))
        self.sha256 = self._read(regions)
        problems = list(self._stub_problems())
        for (placed, crc), head, body in zip(self._entries, heads, bodies, strict=True):
            problems += self._entry_problems(placed, crc, head, body)
        if regions[-1].seen != tail:
            problems.append("the bytes at its end are not its directory")
        return problems

    def _body(self, placed: Placed) -> _Region:
        wanted = self._wanted.get(placed.entry.name)
        own = wanted.digest.hasher() if wanted else hashlib.sha256()
        return _Region(placed.entry.size, hashers=(own, self._stub) if placed.entry.name == PACKAGE else (own,))

    def _read(self, regions: Sequence[_Region]) -> str:
        """Feed the file to ``regions`` and return its SHA-256. Each hasher has one thread, so bytes stay in order."""
        whole = hashlib.sha256()
        buffers = [memoryview(bytearray(PIECE)) for _ in range(_PIECES)]
        pending: list[tuple[Future[None], ...]] = [()] * _PIECES
        cut = _Cutter(regions)
        at = 0
        with ThreadPoolExecutor(1, "whole") as all_of_it, ThreadPoolExecutor(1, "parts") as parts:
            while at < self._size:
                turn = at // PIECE % _PIECES
                wait(pending[turn])
                piece = self._piece(buffers[turn], at)
                cuts = cut.cut(piece)
                pending[turn] = (all_of_it.submit(whole.update, piece), parts.submit(_hash, cuts))
                for region, part in cuts:
                    region.look(part)
                at += len(piece)
                self._moved(len(piece))
        return whole.hexdigest()

    def _piece(self, buffer: memoryview, at: int) -> memoryview:
        """Return the next PIECE bytes from ``at``, fewer only at the end of the file."""
        wanted, done = min(PIECE, self._size - at), 0
        while done < wanted:
            try:
                count = os.preadv(self._fd, [buffer[done:wanted]], at + done)
            except OSError as error:
                raise BundleError(f"the file cannot be read at byte {at + done}: {error.strerror}", COPY_AGAIN) from None
            if count == 0:
                raise BundleError(f"the file ends at byte {at + done}", COPY_AGAIN)
            done += count
        return buffer[:wanted]

    def _entry_problems(self, placed: Placed, crc: int, head: _Region, body: _Region) -> Iterator[str]:
        entry = placed.entry
        wanted = self._wanted.get(entry.name)
        if body.crc != crc:
            yield f"{entry.name} does not match its CRC-32"
        if wanted and body.hashers[0].hexdigest() != wanted.digest.encoded:
            yield f"{entry.name} is not {wanted.digest}"
        if not wanted and not is_signature(entry.name):  # whose it is and whether it is right: agreement
            yield f"{entry.name} belongs to nothing"
        if bytes(head.seen) != head.known:
            yield f"the bytes before {entry.name} are not its header and padding"

    def _stub_problems(self) -> Iterator[str]:
        size = self._entries[0][0].header
        package = next(placed.entry.size for placed, _ in self._entries if placed.entry.name == PACKAGE)
        for name, hasher, length in ((BOOTLOADER, self._bootloader, size), (STUB, self._stub, size + package)):
            part = self._document.parts[name]
            if (part.digest.encoded, part.size) != (hasher.hexdigest(), length):
                yield f"the {name} is not {part.digest}"


class _Cutter:
    """Cuts pieces of the file where one region ends and the next begins."""

    def __init__(self, regions: Sequence[_Region]) -> None:
        self._regions = iter(regions)
        self._region = next(self._regions)
        self._left = self._region.size

    def cut(self, piece: memoryview) -> list[tuple[_Region, memoryview]]:
        """Return the parts of ``piece`` with the region each belongs to."""
        cuts = []
        while piece:
            while not self._left:
                self._region = next(self._regions)
                self._left = self._region.size
            part, piece = piece[: self._left], piece[self._left :]
            self._left -= len(part)
            cuts.append((self._region, part))
        return cuts


def _hash(cuts: Sequence[tuple[_Region, memoryview]]) -> None:
    for region, part in cuts:
        region.hash(part)


def raise_for(problems: Sequence[str], path: str) -> None:
    """Raise the BundleError that lists ``problems``, if there are any."""
    if not problems:
        return
    shown = "".join(f"\n  - {problem}" for problem in problems[:_SHOWN])
    more = f"\n  - and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    raise BundleError(f"{path} is altered:{shown}{more}", COPY_AGAIN)
