"""CRC-32 of what will be written next, while what is before it is written.

An entry's header stands before its bytes and holds their CRC-32, so they are read twice. Reading costs a tenth of hashing, and is done by a
thread of its own, one entry ahead and no further: what it has read is still in memory when it is read again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from isal.isal_zlib import crc32  # 20 times as fast as zlib's, which took a seventh of sealing's CPU time

from registry_snapshot.store.base import Extent

_PIECE: Final = 1024 * 1024  # bytes


def crcs(contents: Sequence[bytes | Callable[[], Extent]]) -> Generator[int, None, None]:
    """Yield the CRC-32 of each. Raises what opening and reading one raises, when it is its turn. Close it to stop in between."""
    stopped = threading.Event()
    with ThreadPoolExecutor(1, "crc") as ahead:
        try:
            coming = [ahead.submit(_crc, content, stopped) for content in contents[:1]]
            for content in (*contents[1:], b""):
                crc = coming.pop().result()
                coming.append(ahead.submit(_crc, content, stopped))
                yield crc
        finally:
            stopped.set()


def _crc(content: bytes | Callable[[], Extent], stopped: threading.Event) -> int:
    if isinstance(content, bytes):
        return crc32(content)
    with content() as extent:
        crc, done, buffer = 0, 0, memoryview(bytearray(min(_PIECE, max(extent.size, 1))))
        while done < extent.size and not stopped.is_set():
            count = os.preadv(extent.fd, [buffer[: extent.size - done]], extent.offset + done)
            if count == 0:
                break
            crc, done = crc32(buffer[:count], crc), done + count
        return crc
