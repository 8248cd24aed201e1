"""AgentConnection: the operator's end of an agent. The phases see the Connection they know.

Over one channel: commands, files, heartbeats and the lease. Everything has a deadline.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import BinaryIO, Final

from installer_stub.agent.calls import Call, TooLong
from installer_stub.agent.frames import Frame
from installer_stub.agent.host_lease import Holder
from installer_stub.agent.link import Link
from installer_stub.agent.sending import Sending
from installer_stub.agent.words import error_of
from installer_stub.errors import CommandFailed
from installer_stub.host.become import TIMED_OUT
from installer_stub.host.command import READ_SECONDS, Command, CommandResult, Secret, deadline_of, masked
from installer_stub.host.connection import BytesMoved
from installer_stub.host.exchange import TooMuchOutput
from installer_stub.host.model import Host
from installer_stub.host.outcome import command_failed, too_much_output

STALL_SECONDS: Final = 600.0  # a transfer without a byte taken: no disk is that slow
GRACE_SECONDS: Final = 15.0  # after the agent should have ended a command
_log = logging.getLogger("airseal.agent")


@dataclass(frozen=True, slots=True)
class LeaseAnswer:
    """What a host says to whoever wants its lease. ``now`` is the host's clock, beside which a holder's times are read."""

    granted: bool
    holder: Holder | None  # who has it instead
    died: Holder | None  # who had it, and died with it
    now: float


class AgentConnection:
    """Implements Connection over a link to an agent. Methods may be called from several threads at once."""

    def __init__(self, host: Host, link: Link) -> None:
        self._host = host
        self._link = link
        self.program = str(link.hello.fields.get("program", ""))  # the identity of what runs there, in hex

    @property
    def host(self) -> Host:
        """The host at the other end."""
        return self._host

    def run(self, command: Command, *, check: bool = True, timeout: float | None = None) -> CommandResult:
        """Run as root and wait. With ``check``, a non-zero status raises CommandFailed. ``timeout`` in seconds.

        Without one a command still has a deadline, by whether it changes anything. A word of the stub is answered by the agent
        itself; with ``check``, errors of the ledger are raised by their own names.
        """
        limit = deadline_of(command, timeout)
        stdin = command.stdin
        data = stdin.reveal().encode() if isinstance(stdin, Secret) else stdin or b""
        secrets = (stdin,) if isinstance(stdin, Secret) else ()
        begun = time.monotonic()
        asked: dict[str, object] = {"argv": list(command.word)} if command.word else {"text": command.text, "timeout": math.ceil(limit)}
        with self._link.call(command, "word" if command.word else "run", **asked) as call:
            end = self._finished(call, command, data, limit)
        status, error = (end.number("status"), error_of(self._host, end)) if end is not None else (TIMED_OUT, None)
        said = call.err.decode(errors="replace") if error is None else f"error: {error.problem}\n"
        result = CommandResult(status, call.out.decode(errors="replace"), said)
        text = f"{' '.join(str(command).split())} -> {status} in {time.monotonic() - begun:.2f} s {result.stderr[-2000:].strip()}"
        _log.debug("%s: %s", self._host, masked(text, secrets))
        if check and error is not None:
            raise error
        if check and not result.ok:
            raise command_failed(self._host, command, result, secrets=secrets, timeout=limit)
        return result

    def put(self, source: BinaryIO, target: str, *, size: int, mode: int = 0o644, moved: BytesMoved | None = None) -> None:
        """Write ``size`` bytes to ``target``: a temporary file beside it, the hash compared, synced, renamed.

        Missing parent directories are made. Raises CommandFailed when the disk is full or the bytes arrived wrong.
        """
        self._put(source, target, size, mode, moved, keep=False)

    def put_resumable(
        self, source: BinaryIO, target: str, *, size: int, mode: int = 0o644, moved: BytesMoved | None = None
    ) -> None:
        """Do as ``put``, for gigabytes. ``source`` can seek.

        What a broken connection left in ``target.part`` is compared with the source's beginning and not sent again;
        ``moved`` counts it as well.
        """
        self._put(source, target, size, mode, moved, keep=True)

    def read(self, path: str) -> bytes | None:
        """Return a small file's content, or None where there is none."""
        return self.read_all((path,))[path]

    def read_all(self, paths: tuple[str, ...]) -> dict[str, bytes | None]:
        """Return the content of each of ``paths``, or None where there is none, for one question. Raises CommandFailed."""
        what = f"read {', '.join(paths)}"
        with self._link.call(what, "read", paths=list(paths)) as call:
            sizes = self._end(call, what, READ_SECONDS).fields.get("sizes")
        content, at = bytes(call.out), 0
        found: dict[str, bytes | None] = {}
        for path, size in zip(paths, sizes if isinstance(sizes, list) else (), strict=True):
            found[path] = None if size is None else content[at : at + size]
            at += size or 0
        return found

    def take_lease(self, run: str, who: str, verb: str) -> LeaseAnswer:
        """Ask for the right to change this host. Raises CommandFailed when the agent cannot say."""
        with self._link.call("take the lease", "lease", run=run, who=who, verb=verb) as call:
            end = self._end(call, "take the lease", READ_SECONDS)
        now = end.fields.get("now")
        holder, died = Holder.parse(end.fields.get("holder")), Holder.parse(end.fields.get("died"))
        return LeaseAnswer(end.flag("granted"), holder, died, float(now) if isinstance(now, (int, float)) else 0.0)

    def close(self) -> None:
        """End the connection: the agent gives its lease back and ends. Safe to call twice."""
        self._link.close()

    def _finished(self, call: Call, command: Command, stdin: bytes, limit: float) -> Frame | None:
        """Return how it ended, or None: not in time."""
        try:
            Sending(call, self._link).all(stdin, stall=limit + GRACE_SECONDS)
            end = call.ended(within=limit + GRACE_SECONDS)
        except TooLong:
            return None
        except TooMuchOutput as error:
            secrets = (command.stdin,) if isinstance(command.stdin, Secret) else ()
            raise too_much_output(self._host, command, error.limit, secrets=secrets) from None
        if end.kind != "done":
            raise CommandFailed(self._host.address, f"the agent could not run `{command}`: {end.fields.get('problem', end.kind)}")
        return end

    def _end(self, call: Call, what: str, seconds: float) -> Frame:
        try:
            end = call.ended(stall=seconds)
        except TooLong:
            raise self._stuck(what, seconds) from None
        if end.kind != "done":
            raise CommandFailed(self._host.address, f"could not {what}: {end.fields.get('problem', end.kind)}")
        return end

    def _put(self, source: BinaryIO, target: str, size: int, mode: int, moved: BytesMoved | None, *, keep: bool) -> None:
        with self._link.call(f"write {target}", "put", target=target, size=size, mode=mode, keep=keep) as call:
            try:
                Sending(call, self._link, moved).file(self._host, source, size, keep=keep, stall=STALL_SECONDS)
                end = call.ended(stall=STALL_SECONDS)
            except TooLong:
                raise self._stuck(f"write {target}", STALL_SECONDS) from None
        if end.kind != "done":
            raise _not_written(self._host, target, size, end, keep=keep)

    def _stuck(self, what: str, seconds: float) -> CommandFailed:
        return CommandFailed(
            self._host.address, f"could not {what}: not a step forward in {seconds:g} s", "see dmesg there: a disk or a file system hangs"
        )


def _not_written(host: Host, target: str, size: int, end: Frame, *, keep: bool) -> CommandFailed:
    said = str(end.fields.get("problem", end.kind))
    if end.flag("damaged"):
        return CommandFailed(
            host.address,
            f"{target} arrived damaged: {said}",
            "run again; if it happens again, suspect memory, disk or network adapter of the host",
        )
    if not end.flag("full"):
        return CommandFailed(host.address, f"could not write {target} ({_mib(size)}): {said}")
    problem = f"the disk is full: no room for {target} ({_mib(size)}), {_mib(end.number('free'))} free there now"
    kept = f"; what arrived is kept in {target}.part and will not be sent again" if keep else ""
    return CommandFailed(host.address, problem, f"free space on the host and run again{kept}")


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
