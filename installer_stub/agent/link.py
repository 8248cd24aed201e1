"""The operator's end of an agent's channel: frames out, answers to whoever waits for them, and signs of life.

sshd goes on answering for a host whose disk or kernel does not; the agent does not. A host that falls silent is said
once, and given up later.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from installer_stub.agent.calls import Call, Calls, Lost
from installer_stub.agent.frames import PROTOCOL, Frame, FrameReader, encode, skip_to
from installer_stub.errors import FrameError, HostUnreachable
from installer_stub.host.exchange import Channel
from installer_stub.host.model import Host
from installer_stub.host.outcome import tail

PING_SECONDS: Final = 10.0
SAID_SECONDS: Final = 30.0  # of silence, before it is said
LOST_SECONDS: Final = 120.0  # of silence, before the host is given up
HELLO_SECONDS: Final = 60.0  # a frozen program on a slow disk takes a few
_BYE_SECONDS: Final = 15.0
_AT_ONCE: Final = 64
_MOST_STDERR: Final = 64 * 1024
_log = logging.getLogger("airseal.agent")

Say = Callable[[str], None]


class Link:
    """A channel to an agent that has said hello. Its methods may be called from several threads at once."""

    def __init__(
        self,
        host: Host,
        channel: Channel,
        marker: str,
        *,
        before: bytes = b"",
        said: Say = _log.warning,
        silence: tuple[float, float] = (SAID_SECONDS, LOST_SECONDS),
    ) -> None:
        """Wait for the agent's hello behind ``marker``. Raises HostUnreachable with what was said instead of it."""
        self.said = said
        self._host = host
        self._channel = channel
        self._silence = silence
        self._calls = Calls()
        self._room = threading.BoundedSemaphore(_AT_ONCE)
        self._sending = threading.Lock()
        self._stderr = bytearray()
        self._closed = threading.Event()
        self._over = threading.Event()
        self._heard = time.monotonic()
        self._asked = self._sent = self._received = 0
        self._work(self._drain)
        self._reader = self._meet(marker, before)
        self._work(self._read)
        self._work(self._watch)

    @contextmanager
    def call(self, what: object, kind: str, **fields: object) -> Iterator[Call]:
        """Ask something, and give it up on the host if the block ends before the answer has. Raises HostUnreachable.

        ``what`` is what messages call it.
        """
        with self._room:
            call: Call | None = None
            try:
                # The agent takes numbers in rising order only.
                with self._sending:
                    call = self._calls.begin()
                    self._asked += 1
                    self._begin(encode(Frame(call.number, kind, fields)))
                yield call
            except Lost as lost:
                raise self._lost(str(lost), what) from None
            finally:
                if call is not None:
                    self._calls.end(call)
                    if not call.is_over:
                        self.send(call, "stop")

    def send(self, call: Call, kind: str, payload: bytes = b"", **fields: object) -> None:
        """Send more for a call. That the channel is gone shows where the call waits, not here."""
        self._write(Frame(call.number, kind, fields, payload))

    def close(self) -> None:
        """Let the agent end and give its lease back; then close the channel. Safe to call twice."""
        if self._closed.is_set():
            return
        self._closed.set()
        _log.debug("%s: asked %d times; %d bytes sent, %d received", self._host, self._asked, self._sent, self._received)
        if not self._calls.lost:
            self._calls.lose("")
            self._write(Frame(0, "bye", {}))
            self._over.wait(_BYE_SECONDS)
        self._channel.close()

    def _meet(self, marker: str, before: bytes) -> FrameReader:
        watch = threading.Timer(HELLO_SECONDS, self._channel.close)
        watch.daemon = True
        watch.start()
        try:
            _, behind = skip_to(f"\n{marker}\n".encode(), self._channel.recv, before=before)
            reader = FrameReader(self._receive, before=behind)
            hello = _greeted(reader.read())
        except (FrameError, OSError, EOFError) as error:
            self._over.wait(0.5)  # what it said on stderr comes on its own way
            self._channel.close()
            said = " ".join(tail(self._stderr.decode(errors="replace"), 3))
            problem = f"the agent did not start: {error}{f' ({said})' if said else ''}"
            raise HostUnreachable(self._host.address, problem, "run the same command again: it puts the installer there anew") from None
        finally:
            watch.cancel()
        _log.debug("%s: agent %s", self._host, hello.fields)
        self.hello = hello
        self._heard = time.monotonic()
        return reader

    def _read(self) -> None:
        problem = ""
        try:
            while (frame := self._reader.read()) is not None:
                self._heard = time.monotonic()
                if frame.id:
                    self._calls.hear(frame)
                elif frame.kind == "error":
                    problem = f": the agent ended: {frame.fields.get('problem')}"
        except FrameError as error:
            problem = f": the agent said what is no frame: {error.problem}"
        except (OSError, EOFError):
            pass
        self._over.set()
        self._calls.lose(problem)
        if not self._closed.is_set():
            self._channel.close()  # the agent's end hears it, and ends

    def _watch(self) -> None:
        quiet, lost = self._silence
        told, pinged = False, time.monotonic()
        while not self._over.wait(min(1.0, quiet / 4)) and not self._closed.is_set():
            now = time.monotonic()
            silent = now - self._heard
            if silent > lost:
                self._calls.lose(f": it has been silent for {silent:.0f} s")
                self._channel.close()
                return
            if silent > quiet and not told:
                told = True
                self.said(f"{self._host}: silent for {silent:.0f} s; it is given up after {lost:.0f} s")
            elif told and silent < quiet:
                told = False
                self.said(f"{self._host}: answers again")
            if now - pinged >= min(PING_SECONDS, quiet / 3):
                pinged = now
                # Of its own: a send may wait for ever for a host that takes nothing.
                self._work(lambda: self._write(Frame(0, "ping", {})))

    def _receive(self, most: int) -> bytes:
        data = self._channel.recv(most)
        self._received += len(data)
        return data

    def _drain(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            while data := self._channel.recv_stderr(4096):
                self._stderr += data
                del self._stderr[:-_MOST_STDERR]
                _log.debug("%s: agent: %s", self._host, data.decode(errors="replace").rstrip())

    def _begin(self, data: bytes) -> None:
        self._sent += len(data)
        try:
            self._channel.sendall(data)
        except (OSError, EOFError):
            raise Lost("") from None

    def _write(self, frame: Frame) -> None:
        data = encode(frame)
        with contextlib.suppress(OSError, EOFError), self._sending:
            self._sent += len(data)
            self._channel.sendall(data)

    def _lost(self, how: str, what: object) -> HostUnreachable:
        return HostUnreachable(
            self._host.address, f"the connection was lost during `{what}`{how}", "see that the host is up and run the same command again"
        )

    @staticmethod
    def _work(work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="agent", daemon=True).start()


def _greeted(hello: Frame | None) -> Frame:
    if hello is None or hello.kind != "hello" or hello.number("protocol") != PROTOCOL:
        raise FrameError(f"it speaks another protocol than {PROTOCOL}: {hello.fields if hello else 'nothing'}")
    return hello
