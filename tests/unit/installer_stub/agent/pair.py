"""An agent in a thread of this process, and the raw socket of whoever speaks to it."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from installer_stub.agent.agent import Agent
from installer_stub.agent.frames import Frame, FrameReader, encode
from installer_stub.agent.host_lease import HostLease

MARKER = "marker"


class Pair:
    def __init__(self, lease_directory: Path, silence: float = 60.0) -> None:
        self.near, far = socket.socketpair()
        self.near.settimeout(10)
        self.silent = threading.Event()
        self.lease = HostLease(lease_directory)
        agent = Agent(far.recv, far.sendall, self.lease, silence=silence, on_silence=self.silent.set)

        def serve() -> None:
            with far:
                agent.serve(MARKER)

        self.thread = threading.Thread(target=serve, daemon=True)
        self.thread.start()
        greeting = b""
        while not greeting.endswith(f"\n{MARKER}\n".encode()):
            greeting += self.near.recv(1)
        self.reader = FrameReader(self.near.recv)
        hello = self.reader.read()
        assert hello is not None
        assert hello.kind == "hello"

    def send(self, number: int, kind: str, payload: bytes = b"", **fields: object) -> None:
        self.near.sendall(encode(Frame(number, kind, fields, payload)))

    def answer(self, number: int) -> Frame:
        """The next frame about ``number``."""
        while (frame := self.reader.read()) is not None:
            if frame.id == number:
                return frame
        raise AssertionError("the agent ended")

    def hang_up(self) -> None:
        self.near.close()
        self.thread.join(10)
        assert not self.thread.is_alive()
