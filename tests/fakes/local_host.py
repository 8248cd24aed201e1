"""LocalConnection: this machine's own shell, for scripts whose every path is an argument."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

from installer_stub.errors import CommandFailed
from installer_stub.host.command import Command, CommandResult, Secret
from installer_stub.host.connection import BytesMoved
from installer_stub.host.model import Host, Role
from installer_stub.plan.model import STUB

ROOT = Path(__file__).resolve().parents[2]


class LocalConnection:
    """Implements Connection. ``environment`` is all that commands see: put fakes of systemctl and modprobe into PATH."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self._environment = environment or {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        self.commands: list[Command] = []

    @property
    def host(self) -> Host:
        return Host("127.0.0.1", Role.MASTER)

    def run(self, command: Command, *, check: bool = True, timeout: float | None = None) -> CommandResult:
        self.commands.append(command)
        stdin = command.stdin.reveal().encode() if isinstance(command.stdin, Secret) else command.stdin or b""
        # No stub is installed on this machine: this tree is it.
        argv = ["/bin/sh", "-c", command.text.replace(STUB, f"{sys.executable} -m installer_stub")]
        done = subprocess.run(argv, input=stdin, capture_output=True, env={**self._environment, "PYTHONPATH": str(ROOT)}, timeout=timeout or 60, check=False)
        result = CommandResult(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        if check and not result.ok:
            raise CommandFailed("127.0.0.1", f"{command}: {result.stderr}", status=result.status)
        return result

    def put(self, source: BinaryIO, target: str, *, size: int, mode: int = 0o644, moved: BytesMoved | None = None) -> None:
        path = Path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        new.write_bytes(source.read(size))
        new.chmod(mode)
        new.replace(path)
        if moved is not None:
            moved(size)

    def read(self, path: str) -> bytes | None:
        try:
            return Path(path).read_bytes()
        except FileNotFoundError:
            return None

    def close(self) -> None:
        pass
