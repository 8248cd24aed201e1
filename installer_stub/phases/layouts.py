"""How stubs stand on hosts, by the stub: each is read once in a run, however many hosts ask at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import BinaryIO, Final

from installer_stub.bundle.layout import Layout, strange
from installer_stub.host.checked_stream import CheckedStream

MOST: Final = 256 << 20  # bytes of a stub, which is in memory then; it has 34 to 40 MB


class Layouts:
    """Layouts by the SHA-256 of the stub. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, Layout] = {}

    def of(self, open_stub: Callable[[], BinaryIO], size: int, sha256: str) -> Layout:
        """Return the layout of the stub with that size and hash. Raises BundleError for one that is not, or cannot be laid out."""
        with self._lock:
            if sha256 not in self._known:
                if size > MOST:
                    raise strange(f"has {size} bytes")
                with CheckedStream(open_stub(), size=size, sha256=sha256, what="the installer") as stream:
                    data = bytearray()
                    while chunk := stream.read(1 << 20):
                        data += chunk
                if len(data) != size:
                    raise strange("ends too early")
                self._known[sha256] = Layout.of(bytes(data))
            return self._known[sha256]


LAYOUTS: Final = Layouts()
