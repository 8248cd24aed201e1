"""A Connection to a container by ``docker exec``: for trying phases on a real host without SSH in between."""

from __future__ import annotations

import hashlib
import subprocess
from typing import BinaryIO

from installer_stub.errors import CommandFailed
from installer_stub.host.command import Command, CommandResult, Secret
from installer_stub.host.connection import BytesMoved
from installer_stub.host.model import Host


class DockerExecConnection:
    """Implements Connection and remembers the text of every command."""

    def __init__(self, host: Host, container: str) -> None:
        self._host = host
        self._container = container
        self.commands: list[Command] = []

    @property
    def host(self) -> Host:
        return self._host

    def run(self, command: Command, *, check: bool = True, timeout: float | None = None) -> CommandResult:
        self.commands.append(command)
        stdin = command.stdin.reveal().encode() if isinstance(command.stdin, Secret) else command.stdin or b""
        argv = ["docker", "exec", "-i", self._container, "/bin/sh", "-c", command.text]
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, check=False)
        result = CommandResult(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        if check and not result.ok:
            raise CommandFailed(self._host.address, f"{command}: {result.stderr[-2000:]}", status=result.status)
        return result

    def put(self, source: BinaryIO, target: str, *, size: int, mode: int = 0o644, moved: BytesMoved | None = None) -> None:
        data = source.read(size)
        script = 'mkdir -p "${1%/*}"; cat > "$1.new"; sha256sum < "$1.new"; chmod "$2" "$1.new"; mv -f "$1.new" "$1"'
        result = self.run(Command.shell(script, target, f"{mode:o}", changes=f"write {target}", stdin=data))
        assert result.stdout.split()[0] == hashlib.sha256(data).hexdigest()
        if moved is not None:
            moved(size)

    def read(self, path: str) -> bytes | None:
        argv = ["docker", "exec", self._container, "cat", path]
        done = subprocess.run(argv, capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else None

    def close(self) -> None:
        pass
