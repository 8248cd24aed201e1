"""ScriptedConnection: a Connection that answers by rules, keeps files in memory and remembers all that was asked."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from installer_stub.errors import CommandFailed
from installer_stub.host.command import Command, CommandResult, Secret
from installer_stub.host.connection import BytesMoved
from installer_stub.host.model import Host, Role

Answer = Callable[[Command], CommandResult]


def succeeded(stdout: str = "") -> CommandResult:
    return CommandResult(0, stdout, "")


def failed(status: int = 1, stderr: str = "") -> CommandResult:
    return CommandResult(status, "", stderr)


@dataclass
class ScriptedConnection:
    """The rule that was added last and matches wins. A command that no rule matches is a mistake of the test's subject."""

    host: Host = field(default_factory=lambda: Host("10.0.0.2", Role.MASTER))
    files: dict[str, bytes] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    rules: list[tuple[re.Pattern[str], Answer]] = field(default_factory=list)

    def on(self, pattern: str, *answers: CommandResult | str | Answer) -> ScriptedConnection:
        """Answer commands whose text has ``pattern``; several answers are given in turn, the last one for ever."""
        left = list(answers) or [""]

        def answer(command: Command) -> CommandResult:
            now = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(now, str):
                return succeeded(now)
            return now if isinstance(now, CommandResult) else now(command)

        self.rules.append((re.compile(pattern, re.DOTALL), answer))
        return self

    def run(self, command: Command, *, check: bool = True, timeout: float | None = None) -> CommandResult:
        self.commands.append(command)
        for pattern, answer in reversed(self.rules):
            if pattern.search(command.text):
                result = answer(command)
                break
        else:
            raise AssertionError(f"{self.host.address} was asked what no rule answers: {command.text}")
        if check and not result.ok:
            raise CommandFailed(self.host.address, f"{command}: {result.stderr}", status=result.status)
        return result

    def put(self, source: BinaryIO, target: str, *, size: int, mode: int = 0o644, moved: BytesMoved | None = None) -> None:
        data = source.read(size)
        assert len(data) == size
        self.files[target] = data
        self.modes[target] = mode
        self.commands.append(Command(f"put {target}", f"write {target}"))
        if moved is not None:
            moved(size)

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)

    def close(self) -> None:
        pass

    def journals(self) -> ScriptedConnection:
        """Let the journal's two scripts work on the files in memory; nothing was there before."""

        def look(command: Command) -> CommandResult:
            words = shlex.split(command.text)
            things = words[words.index("sh") + 2 :]
            lines = (f"{kind}\t{name}\t\n" for kind, name in zip(things[::2], things[1::2], strict=True))
            return succeeded("".join(lines))

        def append(command: Command) -> CommandResult:
            assert isinstance(command.stdin, bytes)
            self.files["/var/lib/airseal/journal.jsonl"] = self.files.get("/var/lib/airseal/journal.jsonl", b"") + command.stdin
            return succeeded()

        return self.on(r"backup=\$1", look).on("cat >> ", append)

    def marks(self) -> ScriptedConnection:
        """Let a host be marked as ours on the files in memory: exit status 11 where somebody has marked it."""

        def create(command: Command) -> CommandResult:
            assert isinstance(command.stdin, bytes)
            path = shlex.split(command.text)[-1]
            if path in self.files:
                return failed(11)
            self.files[path], self.modes[path] = command.stdin, 0o600
            return succeeded()

        return self.on(r"ln -T ", create)

    @property
    def changes(self) -> list[str]:
        """What was changed, in the words of the commands, in order."""
        return [command.changes for command in self.commands if command.changes]

    def ran(self, pattern: str) -> list[Command]:
        """The commands whose text has ``pattern``."""
        return [command for command in self.commands if re.search(pattern, command.text, re.DOTALL)]

    def seen(self) -> str:
        """Everything that argv and logs would show."""
        shown = (f"{command.text} {command.changes} {command.stdin if isinstance(command.stdin, Secret) else ''}" for command in self.commands)
        return "\n".join(shown)
