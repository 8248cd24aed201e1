"""Guarded: a connection as one step has it. It changes what its plan says, and nothing while it looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import BinaryIO, NoReturn

from installer_stub.changes.things import Thing
from installer_stub.errors import NotPlanned
from installer_stub.host.command import Command, CommandResult
from installer_stub.host.connection import BytesMoved, Connection, ResumableConnection, read_all
from installer_stub.host.model import Host


def beneath(connection: Connection) -> Connection:
    """Return the connection that is guarded, or the one that is not: to ask what kind it is."""
    return connection.inner if isinstance(connection, Guarded) else connection


class Guarded:
    """Implements Connection over another one. ``refusal`` says why nothing may be changed through it; empty: it may.

    ``things`` are what the host's ledger may come to hold.
    """

    def __init__(self, inner: Connection, refusal: str = "", things: frozenset[Thing] = frozenset()) -> None:
        self.inner = inner
        self._refusal = refusal
        self._things = things

    def require(self, things: Iterable[Thing]) -> None:
        """Return if the plan names all of ``things``. Raises NotPlanned."""
        for thing in things:
            any_there = Thing(thing.kind, f"{thing.name.rpartition('/')[0]}/*")
            if thing not in self._things and any_there not in self._things:
                self._refuse(f"change the {thing}", "the plan of this step does not name it")

    @property
    def host(self) -> Host:
        """The host at the other end."""
        return self.inner.host

    def run(self, command: Command, *, check: bool = True, timeout: float | None = None) -> CommandResult:
        """Run it. Raises NotPlanned for a command that changes something where nothing may be changed."""
        if self._refusal and command.changes:
            self._refuse(command.changes)
        return self.inner.run(command, check=check, timeout=timeout)

    def put(self, source: BinaryIO, target: str, *, size: int, mode: int = 0o644, moved: BytesMoved | None = None) -> None:
        """Write a file. Raises NotPlanned where nothing may be changed."""
        if self._refusal:
            self._refuse(f"write {target}")
        self.inner.put(source, target, size=size, mode=mode, moved=moved)

    def put_resumable(self, source: BinaryIO, target: str, *, size: int, mode: int = 0o644, moved: BytesMoved | None = None) -> None:
        """Write a large file; from the beginning over a connection that cannot resume. Raises NotPlanned."""
        if self._refusal:
            self._refuse(f"write {target}")
        put = self.inner.put_resumable if isinstance(self.inner, ResumableConnection) else self.inner.put
        put(source, target, size=size, mode=mode, moved=moved)

    def read(self, path: str) -> bytes | None:
        """Return a small file's content, or None where there is none."""
        return self.inner.read(path)

    def read_all(self, paths: tuple[str, ...]) -> Mapping[str, bytes | None]:
        """Return what ``read`` returns for each of ``paths``, for one round trip where the connection beneath can do that."""
        return read_all(self.inner, paths)

    def close(self) -> None:
        """End the connection beneath."""
        self.inner.close()

    def _refuse(self, what: str, refusal: str = "") -> NoReturn:
        raise NotPlanned(self.host.address, f"{refusal or self._refusal}, and this would: {what}", "report this: it is a bug of airseal; nothing was changed by it")
