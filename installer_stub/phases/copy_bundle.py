"""Copy the whole ``.run`` to each master: there it is the site registry's store, and the seed of every later repair."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, ClassVar, Final, Protocol, runtime_checkable

from installer_stub.errors import BundleError
from installer_stub.host.command import Command
from installer_stub.host.connection import BytesMoved, Connection
from installer_stub.phases.base import Context, Phase
from installer_stub.plan import HostPlan

_BUFFER: Final = 1 << 20


@runtime_checkable
class ResumableConnection(Protocol):
    """A Connection that goes on where an interrupted copy of the same bytes ended."""

    def put_resumable(
        self,
        source: BinaryIO,
        target: str,
        *,
        size: int,
        mode: int = 0o644,
        moved: BytesMoved | None = None,
    ) -> None:
        """Do what ``put`` does, keeping the bytes that an earlier attempt brought over."""


@lru_cache(maxsize=4)
def _sha256(path: str, _size: int, _changed: int) -> str:
    hasher = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_BUFFER):
            hasher.update(chunk)
    return hasher.hexdigest()


def digest_of(path: str) -> str:
    """Return the file's sha256 in hex; read once for as long as it does not change."""
    status = Path(path).stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


def identity(context: Context) -> str:
    """Return what names the artifact's content: the digest of its verified list of contents, or else of all its bytes."""
    return context.artifact.run_digest or digest_of(_run_path(context))


class CopyBundle(Phase):
    """Send the artifact; the connection compares its hash there. That it is whole is then written down beside it."""

    title: ClassVar[str] = "Copy the bundle to the masters"

    def is_needed(self, context: Context) -> bool:
        """Look at size, time and what was written down; hashing gigabytes on every run is for ``verify``."""
        here = context.each(context.plan.masters, lambda _host, connection: _is_whole(connection, context))
        return not all(here.values())

    def run(self, context: Context) -> None:
        """Copy to all masters that do not have it."""
        context.each(context.plan.masters, lambda host, connection: _copy(context, host, connection))

    def undo(self, context: Context) -> None:
        """Remove the file, its record, and what an interrupted copy left."""
        path = context.plan.bundle_path
        script = 'rm -f -- "$1" "$1".*'
        remove = Command.shell(script, path, changes="remove the bundle")
        context.each(context.reachable(context.plan.masters), lambda _host, connection: connection.run(remove))


def _run_path(context: Context) -> str:
    if context.artifact.run_path is None:
        raise BundleError("there is no artifact to copy", "a recording does not run this phase")
    return context.artifact.run_path


def _stamp(connection: Connection, path: str) -> str:
    return connection.run(Command.of("stat", "-c", "%s %Y", path), check=False).stdout.strip()


def _is_whole(connection: Connection, context: Context) -> bool:
    path = context.plan.bundle_path
    try:
        record = json.loads(connection.read(f"{path}.whole") or b"")
    except ValueError:
        return False
    return bool(record == {"content": identity(context), "stamp": _stamp(connection, path)})


def _copy(context: Context, host: HostPlan, connection: Connection) -> None:
    path, source = context.plan.bundle_path, _run_path(context)
    if _is_whole(connection, context):
        return
    size = context.artifact.run_size
    # Killed between the end of the copy and writing it down: reading it there is faster than sending it again.
    arrived = _stamp(connection, path).split()[:1] == [str(size)] and _remote_digest(connection, path) == digest_of(source)
    if not arrived:
        what = f"bundle to {host.address}"
        put = connection.put_resumable if isinstance(connection, ResumableConnection) else connection.put
        with Path(source).open("rb") as stream:
            put(stream, path, size=size, mode=0o755, moved=lambda count: context.reporter.moved(what, count, size))
    record = json.dumps({"content": identity(context), "stamp": _stamp(connection, path)}).encode()
    script = 'umask 077; cat > "$1.new"; sync "$1.new"; mv -f "$1.new" "$1"'
    connection.run(Command.shell(script, f"{path}.whole", changes="note that the bundle is whole", stdin=record))


def _remote_digest(connection: Connection, path: str) -> str:
    result = connection.run(Command.of("sha256sum", path), check=False)
    return result.stdout.split()[0] if result.ok and result.stdout else ""
