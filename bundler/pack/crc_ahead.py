"""CRC-32 of what will be written next, while what is before it is written.

An entry's header stands before its bytes and holds their CRC-32, so they are read twice. Reading costs a tenth of hashing, and is done by a
thread of its own, one entry ahead and no further: what it has read is still in memory when it is read again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

from isal.isal_zlib import crc32  # 20 times as fast as zlib's, which took a seventh of sealing's CPU time

from bundler.pack.hashers import PIECE
from registry_snapshot.store.base import Extent, ExtentReader


def crcs(contents: Sequence[bytes | Callable[[], Extent]]) -> Generator[int, None, None]:
    """Yield the CRC-32 of each. Raises what opening and reading one raises, when it is its turn. Close it to stop in between."""
    stopped = threading.Event()
    with ThreadPoolExecutor(1, "crc") as ahead:
        try:
            tasks = (ahead.submit(_crc, content, stopped) for content in contents)
            coming = next(tasks, None)
            while coming is not None:
                crc = coming.result()
                coming = next(tasks, None)
                yield crc
        finally:
            stopped.set()


def _crc(content: bytes | Callable[[], Extent], stopped: threading.Event) -> int:
    if isinstance(content, bytes):
        return crc32(content)
    crc, buffer = 0, memoryview(bytearray(PIECE))
    with ExtentReader(content()) as reader:
        while not stopped.is_set() and (count := reader.readinto(buffer)):
            crc = crc32(buffer[:count], crc)
    return crc
