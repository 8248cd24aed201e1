"""From a finished command to an error a person can act on."""

from __future__ import annotations

from collections.abc import Iterable

from installer_stub.errors import CommandFailed
from installer_stub.host.become import TIMED_OUT
from installer_stub.host.command import Command, CommandResult, Secret, masked
from installer_stub.host.model import Host

TAIL_LINES = 12


def command_failed(
    host: Host, command: Command, result: CommandResult, *, secrets: Iterable[Secret] = (), timeout: float | None = None
) -> CommandFailed:
    """Return the error for ``result``: what was tried, how it ended, the end of what it said; secrets masked."""
    hidden = tuple(secrets)
    if timeout is not None and result.status == TIMED_OUT:
        how = f"did not end within {timeout:g} s"
    elif result.status > 128:
        how = f"was killed (status {result.status})"
    else:
        how = f"ended with status {result.status}"
    what = f"could not {command.changes}: " if command.changes else ""
    said = tail(result.stderr) or tail(result.stdout)
    lines = "".join(f"\n      {line}" for line in said)
    line = " ".join(str(command).split())
    problem = masked(f"{what}`{line}` {how}{':' if lines else ''}{lines}", hidden)
    return CommandFailed(host.address, problem, _remedy(result), status=result.status)


def too_much_output(host: Host, command: Command, limit: int, *, secrets: Iterable[Secret] = ()) -> CommandFailed:
    """Return the error for a command whose output has no end."""
    line = masked(" ".join(str(command).split()), tuple(secrets))
    return CommandFailed(
        host.address,
        f"`{line}` printed more than {limit >> 20} MiB; it was ended",
        "run it on the host and see what it prints; a host that answers like that should not be trusted",
    )


def tail(text: str, count: int = TAIL_LINES) -> list[str]:
    """Return the last lines of ``text`` that say anything."""
    return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]


def _remedy(result: CommandResult) -> str:
    if "No space left on device" in result.stderr:
        return "free space on the host's disk and run again"
    if "Read-only file system" in result.stderr:
        return "the host's disk is mounted read-only: see dmesg there, repair it, run again"
    if result.status == 127:
        return "install the missing program on the host"
    return ""
