"""DockerConnection: the temporary host through docker's exec. The phases see the same Connection as over SSH."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from bundler.cluster.exec_channel import ExecChannel
from installer_stub.errors import FrameError, HostUnreachable
from installer_stub.host.become import Become
from installer_stub.host.command import Command, CommandResult, Secret
from installer_stub.host.connection import MISSING, READ, BytesMoved
from installer_stub.host.duplex import begin
from installer_stub.host.exchange import CHUNK, NO_STATUS, Channel, Feed, Outcome, TooMuchOutput, exchange
from installer_stub.host.model import Host
from installer_stub.host.outcome import command_failed, too_much_output
from installer_stub.host.transfer import Upload

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

_GRACE_SECONDS = 15.0  # after timeout(1) in the container should have ended a command
_GONE = "run again; docker ps -a and docker logs may say why"


class DockerConnection:
    """Implements Connection. Methods may be called from several threads at once."""

    def __init__(self, client: docker.APIClient, container: str, host: Host) -> None:
        self._client = client
        self._container = container
        self._host = host
        self._become = Become()
        self._live: set[ExecChannel] = set()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def host(self) -> Host:
        """The host at the other end."""
        return self._host

    def run(self, command: Command, *, check: bool = True, timeout: float | None = None) -> CommandResult:
        """Run as root and wait. With ``check``, a non-zero status raises CommandFailed. ``timeout`` in seconds."""
        stdin = command.stdin
        data = stdin.reveal().encode() if isinstance(stdin, Secret) else stdin or b""
        result = self._run(command, _sending(io.BytesIO(data)), timeout)
        if check and not result.ok:
            secrets = (stdin,) if isinstance(stdin, Secret) else ()
            raise command_failed(self._host, command, result, secrets=secrets, timeout=timeout)
        return result

    def put(self, source: BinaryIO, target: str, *, size: int, mode: int = 0o644, moved: BytesMoved | None = None) -> None:
        """Write ``size`` bytes to ``target``: a temporary file beside it, the hash compared, synced, renamed.

        Missing parent directories are made. Raises CommandFailed when the disk is full or the bytes arrived wrong.
        """

        def stream(command: Command, feed: Feed) -> CommandResult:
            return self._run(command, feed, None)

        Upload(self._host, target, size, mode, self.run, stream, moved).whole(source)

    def read(self, path: str) -> bytes | None:
        """Return a small file's content, or None where there is none."""
        command = Command.shell(READ, path)
        outcome = self._exec(command, lambda _: None, None)
        if outcome.status == MISSING:
            return None
        if outcome.status != 0:
            raise command_failed(self._host, command, _result(outcome))
        return outcome.stdout

    def duplex(self, text: str) -> tuple[Channel, bytes]:
        """Start the shell text ``text`` as root; return the channel to it, and what it has said already."""
        channel = self._open(["/bin/sh"])
        try:
            return channel, begin(channel, self._become, text)
        except (FrameError, OSError, EOFError) as error:
            channel.close()
            raise HostUnreachable(self._host.address, f"the temporary host starts no shell: {error}", _GONE) from None

    def close(self) -> None:
        """End the connection and every command on it. Safe to call twice."""
        with self._lock:
            self._closed = True
            live = tuple(self._live)
        for channel in live:
            channel.close()

    def _run(self, command: Command, feed: Feed, timeout: float | None) -> CommandResult:
        return _result(self._exec(command, feed, timeout))

    def _exec(self, command: Command, feed: Feed, timeout: float | None) -> Outcome:
        argv = ["/bin/sh", "-c", self._become.line(command.text, timeout)]
        with self._channel(argv) as channel:
            try:
                outcome = exchange(channel, feed, deadline=None if timeout is None else timeout + _GRACE_SECONDS)
            except TooMuchOutput as error:
                secrets = (command.stdin,) if isinstance(command.stdin, Secret) else ()
                raise too_much_output(self._host, command, error.limit, secrets=secrets) from None
        if outcome.status == NO_STATUS:
            raise HostUnreachable(self._host.address, "the temporary host has gone away", _GONE)
        return outcome

    @contextmanager
    def _channel(self, argv: list[str]) -> Iterator[ExecChannel]:
        channel = self._open(argv)
        try:
            yield channel
        finally:
            with self._lock:
                self._live.discard(channel)
            channel.close()

    def _open(self, argv: list[str]) -> ExecChannel:
        import docker.errors
        import requests

        try:
            channel = ExecChannel(self._client, self._container, argv)
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise HostUnreachable(self._host.address, f"docker cannot run a command in the temporary host: {error}", _GONE) from None
        with self._lock:
            self._live.add(channel)
            late = self._closed
        if late:
            channel.close()
            raise HostUnreachable(self._host.address, "the connection is closed")
        return channel


def _sending(source: BinaryIO) -> Feed:
    def feed(send: Callable[[bytes], None]) -> None:
        while data := source.read(CHUNK):
            send(data)

    return feed


def _result(outcome: Outcome) -> CommandResult:
    return CommandResult(outcome.status, outcome.stdout.decode(errors="replace"), outcome.stderr.decode(errors="replace"))
