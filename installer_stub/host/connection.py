"""Connection: everything the product does to a host goes through these five methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO, Protocol, runtime_checkable

from installer_stub.host.command import Command, CommandResult
from installer_stub.host.model import Host

MISSING = 44  # READ's status for "no such file": no program it calls uses it
# Absent is only what the host says is absent: a disk that cannot be read, or no memory for a process, is an error.
READ = """\
if [ -e "$1" ] || [ -L "$1" ]; then exec cat -- "$1"; fi
said=$(LC_ALL=C ls -d -- "$1" 2>&1) && exec cat -- "$1"
case $said in *"No such file or directory"|*"Not a directory") exit 44 ;; *) echo "$said" >&2; exit 1 ;; esac
"""
BytesMoved = Callable[[int], None]  # called with the number of bytes moved since the last call


class Connection(Protocol):
    """A way to run commands as root on one host: over SSH at a site, through docker in a build.

    Every method raises HostUnreachable when the connection is lost.
    """

    @property
    def host(self) -> Host:
        """The host at the other end."""

    def run(self, command: Command, *, check: bool = True, timeout: float | None = None) -> CommandResult:
        """Run as root and wait. With ``check``, a non-zero status raises CommandFailed. ``timeout`` in seconds."""

    def put(self, source: BinaryIO, target: str, *, size: int, mode: int = 0o644, moved: BytesMoved | None = None) -> None:
        """Write ``size`` bytes to ``target``: a temporary file beside it, the hash compared, synced, renamed.

        Missing parent directories are made. Raises CommandFailed when the disk is full or the bytes arrived wrong.
        """

    def read(self, path: str) -> bytes | None:
        """Return a small file's content, or None where there is none."""

    def close(self) -> None:
        """End the connection. Safe to call twice."""


@runtime_checkable
class ReadsMany(Protocol):
    """A Connection that reads several files for one question."""

    def read_all(self, paths: tuple[str, ...]) -> Mapping[str, bytes | None]:
        """Return what ``read`` returns for each of ``paths``."""


def read_all(connection: Connection, paths: Iterable[str]) -> Mapping[str, bytes | None]:
    """Return the content of small files, None where there is none: for one round trip where the connection can do that."""
    listed = tuple(dict.fromkeys(paths))
    if not listed:
        return {}
    return connection.read_all(listed) if isinstance(connection, ReadsMany) else {path: connection.read(path) for path in listed}


@runtime_checkable
class ResumableConnection(Protocol):
    """A Connection that goes on where an interrupted copy of the same bytes ended."""

    def put_resumable(self, source: BinaryIO, target: str, *, size: int, mode: int = 0o644, moved: BytesMoved | None = None) -> None:
        """Do what ``put`` does, keeping the bytes that an earlier attempt brought over."""


def write(connection: Connection, target: str, content: str | bytes, *, mode: int = 0o644) -> bool:
    """Make ``target`` hold ``content``, and tell whether it did not already (content compared, not mode)."""
    import io

    data = content.encode() if isinstance(content, str) else content
    if connection.read(target) == data:
        return False
    connection.put(io.BytesIO(data), target, size=len(data), mode=mode)
    return True
