"""One command in a container as a Channel: docker's exec over its hijacked connection.

Source: Docker Engine API, "Attach to a container", stream format: 8 bytes of header, stream number and length, then data.
"""

from __future__ import annotations

import queue
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from installer_stub.host.exchange import NO_STATUS

if TYPE_CHECKING:
    import docker

_HEADER = struct.Struct(">BxxxI")
_STDOUT, _STDERR = 1, 2
_CHUNK = 128 * 1024
_DEPTH = 64  # pieces of one output that may wait for their reader
_STATUS_SECONDS = 30
_CLOSE_SECONDS = 5


class ExecChannel:
    """Implements ``installer_stub.host.exchange.Channel``."""

    def __init__(self, client: docker.APIClient, container: str, argv: list[str]) -> None:
        self._client = client
        created: dict[str, str] = client.exec_create(container, argv, stdin=True)
        self._id = created["Id"]
        raw: Any = client.exec_start(self._id, socket=True)
        self._raw = raw
        self._socket: socket.socket = getattr(raw, "_sock", raw)
        self._socket.settimeout(None)  # the client's timeout is for answers; a command may be silent for minutes
        # The response's own buffer may hold output that came with its head: reading the socket beneath would lose it.
        self._reader: Any = getattr(getattr(getattr(raw, "_response", None), "raw", None), "_fp", None)
        self._reader = getattr(self._reader, "fp", None) or raw
        self._pieces: dict[int, queue.Queue[bytes]] = {_STDOUT: queue.Queue(_DEPTH), _STDERR: queue.Queue(_DEPTH)}
        self._closed = threading.Event()
        self._pumping = threading.Thread(target=self._pump, name="exec-output", daemon=True)
        self._pumping.start()

    def recv(self, nbytes: int) -> bytes:
        """Return some stdout, empty at its end."""
        del nbytes  # a bound for sockets; pieces are small already
        return self._pieces[_STDOUT].get()

    def poll(self, seconds: float) -> bytes | None:
        """Return some stdout, empty at its end, None where there is nothing within ``seconds``."""
        with suppress(queue.Empty):
            return self._pieces[_STDOUT].get(timeout=seconds)
        return None

    def recv_stderr(self, nbytes: int) -> bytes:
        """Return some stderr, empty at its end."""
        del nbytes
        return self._pieces[_STDERR].get()

    def sendall(self, s: bytes) -> None:
        """Send all to stdin. Raises OSError when the other side has closed."""
        self._socket.sendall(s)

    def shutdown_write(self) -> None:
        """End stdin."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def recv_exit_status(self) -> int:
        """Wait for the end and return the status, or NO_STATUS when the container is gone."""
        import docker.errors
        import requests

        deadline = time.monotonic() + _STATUS_SECONDS
        # The output ends a moment before the engine knows the status.
        while time.monotonic() < deadline and not self._closed.is_set():
            try:
                state = self._client.exec_inspect(self._id)
            except (docker.errors.APIError, requests.RequestException):
                return NO_STATUS
            if not state["Running"] and state["ExitCode"] is not None:
                return int(state["ExitCode"])
            time.sleep(0.02)
        return NO_STATUS

    def close(self) -> None:
        """Close both ways; whoever waits wakes up."""
        self._closed.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._pumping.join(_CLOSE_SECONDS)  # so that nobody reads from a file descriptor that another got meanwhile
        for part in (getattr(self._raw, "_response", None), self._raw, self._socket):
            if part is not None:
                with suppress(OSError, ValueError):
                    part.close()

    def _pump(self) -> None:
        try:
            while len(header := self._read(_HEADER.size)) == _HEADER.size:
                stream, left = _HEADER.unpack(header)
                while left and (data := self._read(min(left, _CHUNK))):
                    left -= len(data)
                    self._give(stream, data)
        except (OSError, ValueError):  # closed by us, or the engine went away
            pass
        finally:
            for stream in self._pieces:
                self._give(stream, b"")

    def _give(self, stream: int, data: bytes) -> None:
        """Hand a piece to its reader; a reader that has gone away must not hold us."""
        pieces = self._pieces.get(stream, self._pieces[_STDOUT])
        while True:
            try:
                return pieces.put(data, timeout=1)
            except queue.Full:
                if self._closed.is_set():
                    return None

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._reader.read(size - len(data))
            if not piece:
                break
            data += piece
        return data
