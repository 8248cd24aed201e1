"""Commands for a host's shell. Quoting and masking happen here and nowhere else."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from installer_stub.plan.model import STUB


class Secret:
    """Text that must not be seen. Printing it, in any way, shows stars; ``reveal`` is for the wire alone."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself: to a socket or a process's stdin, never to argv, a log or a message."""
        return self._text

    def __repr__(self) -> str:
        return "******"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class Command:
    """What a shell on the host will run.

    ``text`` is ready for ``/bin/sh``. ``changes`` says in a few words what it changes on the host ("write hosts.toml");
    empty means it only reads, so that a dry run may let it through. ``stdin`` may hold secrets and is never logged.
    ``word`` are the same for an agent, where it is the stub on the host that does it: it need not be started again.
    """

    text: str
    changes: str = ""
    stdin: bytes | Secret | None = None
    word: tuple[str, ...] = ()

    @classmethod
    def of(cls, *argv: str, changes: str = "", stdin: bytes | Secret | None = None) -> Command:
        """Return a command with every argument quoted."""
        return cls(shlex.join(argv), changes, stdin)

    @classmethod
    def of_stub(cls, *word: str, changes: str = "", stdin: bytes | Secret | None = None) -> Command:
        """Return ``airseal host WORD``. An agent that knows the word answers in its own process, without starting the stub."""
        return cls(shlex.join((STUB, "host", *word)), changes, stdin, word)

    @classmethod
    def shell(cls, script: str, *arguments: str, changes: str = "", stdin: bytes | Secret | None = None) -> Command:
        """Return a ``/bin/sh`` script whose ``$1 $2 …`` are ``arguments``, so that nothing is pasted into it."""
        return cls(shlex.join(("/bin/sh", "-ec", script, "sh", *arguments)), changes, stdin)

    def __str__(self) -> str:
        """What a person is told: a script by what it changes, since two dozen lines of shell tell nobody anything."""
        script = "\n" in self.text
        if script and self.changes:
            return self.changes
        line, most = (" ".join(self.text.split()), 160) if script else (self.text, 400)
        return line if len(line) <= most else f"{line[:most]}…"


READ_SECONDS = 300.0  # a command that only looks; the longest hashes gigabytes
CHANGE_SECONDS = 1800.0  # one that changes something; the longest resets a host


def deadline_of(command: Command, timeout: float | None = None) -> float:
    """Return the seconds that ``command`` may take: ``timeout`` if that is given, else by whether it changes anything."""
    if timeout is not None:
        return timeout
    return CHANGE_SECONDS if command.changes else READ_SECONDS


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What came back: exit status and both streams, decoded with replacement."""

    status: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """Tell whether the command succeeded."""
        return self.status == 0


_SHORTEST_MASKED_LINE = 6  # shorter lines of a secret ("", "---") are no secret, and masking them would eat the text


def masked(text: str, secrets: Iterable[Secret]) -> str:
    """Return ``text`` with every secret in it, and every line of one, replaced by stars."""
    for secret in secrets:
        whole = secret.reveal().strip("\n")
        lines = [line for line in whole.splitlines() if len(line.strip()) >= _SHORTEST_MASKED_LINE]
        for piece in (whole, *lines):
            if piece.strip():
                text = text.replace(piece, "******")
    return text
