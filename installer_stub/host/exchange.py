"""One command on one channel: feed its stdin, drain both its outputs, wait for its end. Knows no SSH library."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

CHUNK = 128 * 1024  # sends of 128 KiB measured best over paramiko: 183 MB/s, 156 with 1 MiB
OUTPUT_LIMIT = 64 * 1024 * 1024  # bytes of one stream: ten thousand pods in JSON; what is longer is an attack or a mistake
NO_STATUS = -1  # the channel closed without one: connection lost, or the process died of a signal


class Channel(Protocol):
    """The part of a paramiko channel that we use."""

    def recv(self, nbytes: int) -> bytes:
        """Return some stdout, empty at its end."""

    def recv_stderr(self, nbytes: int) -> bytes:
        """Return some stderr, empty at its end."""

    def sendall(self, s: bytes) -> None:
        """Send all to stdin. Raises OSError when the other side has closed."""

    def shutdown_write(self) -> None:
        """End stdin."""

    def recv_exit_status(self) -> int:
        """Wait for the end and return the status, or NO_STATUS."""

    def close(self) -> None:
        """Close both ways; whoever waits wakes up."""


class TooMuchOutput(Exception):
    """The command printed more than ``limit`` bytes to one stream; the channel was closed, what it printed is gone."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} bytes of output")
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended. ``late`` means we closed the channel at the deadline."""

    status: int
    stdout: bytes
    stderr: bytes
    late: bool = False


Send = Callable[[bytes], None]
Feed = Callable[[Send], None]  # sends all of stdin


def exchange(channel: Channel, feed: Feed, *, deadline: float | None = None, limit: int = OUTPUT_LIMIT) -> Outcome:
    """Return the outcome of the command that ``channel`` runs. ``deadline`` in seconds from now.

    What a host says is kept in memory, so it is bounded: more than ``limit`` bytes on one stream raise TooMuchOutput.

    Both outputs are read while stdin is written, so no side ever waits for the other. A command that ends without
    reading all of its stdin is no error here. Whatever ``feed`` itself raises passes through, the channel closed.
    """
    out, err = _Kept(channel, limit), _Kept(channel, limit)
    readers = (_reader(channel.recv, out), _reader(channel.recv_stderr, err))
    late = threading.Event()
    watch: threading.Timer | None = None
    try:
        for reader in readers:
            reader.start()
        if deadline is not None:
            watch = _watch(channel, late, deadline)
        _feed(channel, feed)
        for reader in readers:
            reader.join()
        status = channel.recv_exit_status()
    finally:
        if watch is not None:
            watch.cancel()
        _close(channel)
    for kept in (out, err):
        if kept.broken is not None:  # what was read is not all that it said
            raise kept.broken
    if out.full or err.full:
        raise TooMuchOutput(limit)
    return Outcome(status, bytes(out.data), bytes(err.data), late.is_set())


class _Kept:
    """One stream's bytes; at the first one too many it closes the channel and keeps none."""

    def __init__(self, channel: Channel, limit: int) -> None:
        self._channel = channel
        self._limit = limit
        self.data = bytearray()
        self.full = False
        self.broken: Exception | None = None  # why it was read no further, where that was no end of the stream

    def add(self, data: bytes) -> None:
        """Keep ``data``, if there is room."""
        if len(self.data) + len(data) > self._limit:
            self.full = True
            self.data.clear()
            _close(self._channel)
        else:
            self.data.extend(data)

    def fail(self, error: Exception) -> None:
        """Remember why no more is read, and let nobody wait for it."""
        self.broken = error
        self.data.clear()
        _close(self._channel)


class _Closed(Exception):
    pass


def _feed(channel: Channel, feed: Feed) -> None:
    def send(data: bytes) -> None:
        try:
            channel.sendall(data)
        except (OSError, EOFError):
            raise _Closed from None

    try:
        feed(send)
    except _Closed:
        return  # the command's status and stderr say why
    with contextlib.suppress(OSError, EOFError):
        channel.shutdown_write()


def _reader(receive: Callable[[int], bytes], into: _Kept) -> threading.Thread:
    def read() -> None:
        while not into.full:
            try:
                data = receive(CHUNK)
            except (OSError, EOFError):
                return
            if not data:
                return
            into.add(data)

    def guarded() -> None:
        try:
            read()
        except Exception as error:  # noqa: BLE001 - a thread that dies, of no memory for example, must not look like the end of the stream
            into.fail(error)

    return threading.Thread(target=guarded, daemon=True)


def _close(channel: Channel) -> None:
    with contextlib.suppress(OSError, EOFError):  # a connection that is lost has closed it
        channel.close()


def _watch(channel: Channel, late: threading.Event, seconds: float) -> threading.Timer:
    def end() -> None:
        late.set()
        _close(channel)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer
