"""The agent: what ``airseal host agent`` is on a host, from its first word to its last.

One process for a host and a run. It reads requests from stdin, answers on stdout, and works on several at once. It ends,
and everything it started with it, when stdin closes or nothing has come for a minute: nothing of a run goes on that
nobody watches. What has to outlive a run is a task (phases/task.py), a unit of systemd's own.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from installer_stub.agent import program
from installer_stub.agent.family import kill_scope
from installer_stub.agent.frames import PROTOCOL, Frame, FrameReader, Receive, encode
from installer_stub.agent.host_lease import HostLease
from installer_stub.agent.receiving import receive_file
from installer_stub.agent.requests import Requests
from installer_stub.agent.running import read_files, run_command
from installer_stub.agent.words import Answering, Words, no_words
from installer_stub.errors import FrameError
from installer_stub.version import VERSION

SILENCE_SECONDS: Final = 60.0  # without a byte from the operator; it sends a ping every ten
_log = logging.getLogger("airseal.agent")


class Agent:
    """Serves one operator. ``receive`` and ``send`` are the two directions of its channel."""

    def __init__(
        self,
        receive: Receive,
        send: Callable[[bytes], None],
        lease: HostLease,
        words: Words = no_words,
        *,
        program: Mapping[str, str] = MappingProxyType({}),
        silence: float = SILENCE_SECONDS,
        on_silence: Callable[[], None] = lambda: os._exit(0),
    ) -> None:
        self._receive = receive
        self._send_bytes = send
        self._sending = threading.Lock()
        self._lease = lease
        self._word = Answering(words)
        self._program = program
        self._silence = silence
        self._on_silence = on_silence
        self._heard = time.monotonic()
        self._ended = threading.Event()
        self._requests = Requests(self._send)

    def serve(self, marker: str) -> None:
        """Say hello and answer until the operator says goodbye, hangs up, or falls silent. Nothing is left running."""
        threading.Thread(target=self._watch, name="silence", daemon=True).start()
        try:
            self._send_bytes(f"\n{marker}\n".encode())
            about = {"protocol": PROTOCOL, "version": VERSION, "pid": os.getpid(), "scoped": kill_scope(dry=True)}
            self._send(Frame(0, "hello", {**about, **self._program}))
            reader = FrameReader(self._hear)
            while (frame := reader.read()) is not None and frame.kind != "bye":
                self._answer(frame)
        except FrameError as error:
            _log.warning("%s", error)
            self._say_last(error.problem)
        except (OSError, EOFError) as error:
            _log.info("the channel is gone: %s", error)
        finally:
            self._end()

    def _answer(self, frame: Frame) -> None:
        match frame.kind:
            case "ping":
                self._send(Frame(frame.id, "pong", {}))
            case "run":
                self._requests.begin(frame, run_command)
            case "word":
                self._requests.begin(frame, self._word)
            case "put":
                self._requests.begin(frame, receive_file)
            case "read":
                self._requests.begin(frame, read_files)
            case "lease":
                self._requests.begin(frame, self._lease.answer)
            case "data" | "end" | "stop" | "go":
                self._requests.pass_on(frame)
            case _:
                # The stub was put here by the same file that asks: another word is a mistake, not a newer version.
                raise FrameError(f"there is no {frame.kind[:40]!r} here")

    def _hear(self, most: int) -> bytes:
        data = self._receive(most)
        self._heard = time.monotonic()
        self._lease.heard()
        return data

    def _send(self, frame: Frame) -> None:
        data = encode(frame)
        with self._sending:
            self._send_bytes(data)

    def _say_last(self, problem: str) -> None:
        try:
            self._send(Frame(0, "error", {"problem": problem}))
        except (OSError, EOFError):
            return

    def _watch(self) -> None:
        # A thread of its own: the others may wait for ever in a write that nobody reads.
        while not self._ended.wait(min(1.0, self._silence / 4)):
            self._lease.beat()
            if time.monotonic() - self._heard > self._silence:
                self._end()
                self._on_silence()
                return

    def _end(self) -> None:
        self._ended.set()
        self._requests.end()
        kill_scope()
        self._lease.release()


def serve_stdio(marker: str, lease: HostLease, words: Words) -> None:
    """Serve whoever holds the other ends of stdin and stdout. Nothing else may write to stdout any more."""
    os.umask(0o022)  # files have the modes that phases ask for, whatever login made us
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)

    def send(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(outgoing, view) :]

    Agent(lambda most: os.read(incoming, most), send, lease, words, program=program.about()).serve(marker)
