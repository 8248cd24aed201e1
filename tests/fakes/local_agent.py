"""An agent as a process of this machine, from the sources: the same start as on a host, without ssh or docker."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

from installer_stub.agent.client import AgentConnection
from installer_stub.agent.start import start_agent
from installer_stub.errors import FrameError
from installer_stub.host.become import Become
from installer_stub.host.duplex import begin
from installer_stub.host.exchange import Channel
from installer_stub.host.model import Host, Role

ROOT = Path(__file__).resolve().parents[2]
# The agent starts in a clean environment, so its sources are named on its own command line.
PROGRAM = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-B", "-m", "installer_stub")


class PipeChannel:
    """Implements Channel over the pipes of a process."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, start_new_session=True
        )

    def recv(self, nbytes: int) -> bytes:
        assert self.process.stdout
        return self._read(self.process.stdout, nbytes)

    def recv_stderr(self, nbytes: int) -> bytes:
        assert self.process.stderr
        return self._read(self.process.stderr, nbytes)

    def sendall(self, s: bytes) -> None:
        assert self.process.stdin
        view = memoryview(s)
        try:
            while view:
                view = view[self.process.stdin.write(view) :]
        except ValueError as error:
            raise OSError("closed") from error

    def shutdown_write(self) -> None:
        assert self.process.stdin
        with suppress(OSError):
            self.process.stdin.close()

    def recv_exit_status(self) -> int:
        return self.process.wait()

    def close(self) -> None:
        """Hang up, as a lost connection does: the other side sees the end of its stdin."""
        self.shutdown_write()
        threading.Thread(target=self.process.wait, daemon=True).start()

    @staticmethod
    def _read(stream: IO[bytes], size: int) -> bytes:
        try:
            data = stream.read(size) or b""
        except ValueError as error:
            raise OSError("closed") from error
        if not data:
            stream.close()
        return data


class LocalShell:
    """Implements DuplexConnection: this machine's shell, which may say something of its own first."""

    def __init__(self, shell: tuple[str, ...] = ("/bin/sh",)) -> None:
        self._shell = shell
        self.channels: list[PipeChannel] = []

    @property
    def host(self) -> Host:
        return Host("127.0.0.1", Role.MASTER)

    def duplex(self, text: str) -> tuple[Channel, bytes]:
        channel = PipeChannel(self._shell)
        self.channels.append(channel)
        try:
            return channel, begin(channel, Become(), text)
        except FrameError:
            channel.close()
            with channel.process:
                raise


def local_agent(shell: LocalShell | None = None, **settings: object) -> AgentConnection:
    return start_agent(shell or LocalShell(), secrets.token_hex(8), program=PROGRAM, **settings)  # type: ignore[arg-type]
