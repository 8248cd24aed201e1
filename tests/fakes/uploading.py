"""UploadingConnection: this machine's own shell, and files that arrive by the script that hosts run."""

from __future__ import annotations

import subprocess
from typing import BinaryIO

from installer_stub.host.command import Command, CommandResult
from installer_stub.host.connection import BytesMoved
from installer_stub.host.exchange import Feed
from installer_stub.host.transfer import Upload
from tests.fakes.local_host import LocalConnection


class UploadingConnection(LocalConnection):
    """Implements Connection with ``put_resumable``, as SSHConnection does."""

    def put(self, source: BinaryIO, target: str, *, size: int, mode: int = 0o644, moved: BytesMoved | None = None) -> None:
        Upload(self.host, target, size, mode, self.run, self._stream, moved).whole(source)

    def put_resumable(self, source: BinaryIO, target: str, *, size: int, mode: int = 0o644, moved: BytesMoved | None = None) -> None:
        Upload(self.host, target, size, mode, self.run, self._stream, moved).resumed(source)

    def _stream(self, command: Command, feed: Feed) -> CommandResult:
        self.commands.append(command)
        pipe = subprocess.PIPE
        process = subprocess.Popen(["/bin/sh", "-c", command.text], stdin=pipe, stdout=pipe, stderr=pipe, env=self._environment)
        assert process.stdin
        try:
            feed(process.stdin.write)
        except BaseException:
            process.kill()  # as sshd ends a command whose channel was closed
            process.communicate()
            raise
        out, err = process.communicate(timeout=60)
        return CommandResult(process.returncode, out.decode(), err.decode())
