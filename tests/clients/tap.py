"""A tap on the wire: stands between a client and our registry, passes every byte on as it is, and notes what it was.

It listens in the client's own network and goes on from there, so that the registry sees the client's address. A client that
tries HTTPS first, or sends what is no HTTP, is passed on and not noted.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from registry_snapshot.serve.messages import Headers
from tests.clients.trace import Exchange

_CLONE_NEWNET = 0x40000000
_CHUNK = 1 << 16
_QUIET, _QUIET_LIMIT = 1.0, 20.0  # seconds
_HEAD_END = b"\r\n\r\n"
_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ")


class Tap:
    """Passes ``listen`` on to ``target``, from ``with`` to its end, in the network namespace that the file ``netns`` is, or here."""

    def __init__(self, netns: Path | None, listen: tuple[str, int], target: tuple[str, int]) -> None:
        self._netns, self.listen, self._target = netns, listen, target
        self._lock = threading.Lock()
        self._noted: list[Exchange] = []
        self._last = 0.0
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._ready = threading.Event()
        self._problem: OSError | None = None
        self._accepting = threading.Thread(target=self._accept_all, name="tap", daemon=True)

    def take(self) -> tuple[Exchange, ...]:
        """Return what was noted since the last time."""
        with self._lock:
            noted, self._noted = self._noted, []
        return tuple(noted)

    def note(self, exchange: Exchange) -> None:
        with self._lock:
            self._noted.append(exchange)
            self._last = time.monotonic()

    def wait_until_quiet(self) -> None:
        """Return once nothing has been answered for a while: a client that gives up in the middle leaves requests under way."""
        deadline = time.monotonic() + _QUIET_LIMIT
        while time.monotonic() < deadline:
            with self._lock:
                if time.monotonic() - max(self._last, deadline - _QUIET_LIMIT) > _QUIET:
                    return
            time.sleep(_QUIET / 10)

    def __enter__(self) -> Self:
        self._accepting.start()
        self._ready.wait()
        if self._problem is not None:
            raise self._problem
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            still_open = tuple(self._open)
        for sock in still_open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # also what ends accept()
        self._accepting.join()
        for thread in self._threads:
            thread.join()

    def _accept_all(self) -> None:
        try:
            if self._netns is not None:
                _enter(self._netns)  # this thread alone, and those that it starts
            listener = socket.create_server(self.listen)
        except OSError as error:
            self._problem = error
            self._ready.set()
            return
        with listener, self._tracked(listener):
            self._ready.set()
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    thread = threading.Thread(target=self._pass_on, args=(client,), name="tap-connection", daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self._target) as server, self._tracked(client, server):
            talk = _Conversation(self)
            back = threading.Thread(target=_pump, args=(server, client, talk.answered), name="tap-back", daemon=True)
            back.start()
            _pump(client, server, talk.asked)
            back.join()

    @contextlib.contextmanager
    def _tracked(self, *socks: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.update(socks)
        try:
            yield
        finally:
            with self._lock:
                self._open.difference_update(socks)


class _Conversation:
    """What one connection says, in pieces as they come: requests without bodies, answers with exact lengths (RFC 9112)."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._requests: list[tuple[str, str, Headers]] = []
        self._asked = self._answered = b""
        self._skip = 0
        self._is_http = True

    def asked(self, data: bytes) -> None:
        self._asked += data
        if not self._asked.startswith(_METHODS) and len(self._asked) >= 8:
            self._is_http = False
        while self._is_http and _HEAD_END in self._asked:
            head, _, self._asked = self._asked.partition(_HEAD_END)
            line, headers = _parse(head)
            method, target, _ = line.split(" ")
            self._requests.append((method, target, headers))

    def answered(self, data: bytes) -> None:
        if not self._is_http:
            return
        self._answered += data
        while self._answered:
            skipped = min(self._skip, len(self._answered))
            self._answered, self._skip = self._answered[skipped:], self._skip - skipped
            if self._skip or _HEAD_END not in self._answered:
                return
            head, _, self._answered = self._answered.partition(_HEAD_END)
            line, headers = _parse(head)
            method, target, sent = self._requests.pop(0)
            status = int(line.split(" ")[1])
            self._skip = 0 if method == "HEAD" or status in {204, 304} else int(headers.get("Content-Length") or 0)
            self._tap.note(Exchange.of(method, target, sent, status, headers))


def _pump(source: socket.socket, target: socket.socket, note: Callable[[bytes], None]) -> None:
    """Pass on until ``source`` ends. What is noted is noted first: who has an answer finds it noted."""
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            note(data)
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _parse(head: bytes) -> tuple[str, Headers]:
    first, *lines = head.decode("latin-1").split("\r\n")
    return first, Headers((name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines))


def _enter(netns: Path) -> None:
    descriptor = os.open(netns, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {netns}")
    finally:
        os.close(descriptor)
