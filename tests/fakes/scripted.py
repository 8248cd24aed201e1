"""ScriptedConnection: a Connection that answers by rules, keeps files in memory and remembers all that was asked."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from installer_stub.changes.image import ABSENT
from installer_stub.changes.things import Kind, Thing
from installer_stub.errors import CommandFailed
from installer_stub.host.command import Command, CommandResult, Secret
from installer_stub.host.connection import BytesMoved
from installer_stub.host.model import Host, Role
from installer_stub.ledger.log import parse
from installer_stub.ledger.record import Record, Step, encode
from installer_stub.ledger.sign import Head, sign_of
from installer_stub.phases.journal import Journal
from installer_stub.plan.model import STATE

Answer = Callable[[Command], CommandResult]


def succeeded(stdout: str = "") -> CommandResult:
    return CommandResult(0, stdout, "")


def failed(status: int = 1, stderr: str = "") -> CommandResult:
    return CommandResult(status, "", stderr)


def _request(command: Command) -> Any:
    assert isinstance(command.stdin, Secret)
    return json.loads(command.stdin.reveal())


@dataclass
class ScriptedConnection:
    """The rule that was added last and matches wins. A command that no rule matches is a mistake of the test's subject."""

    host: Host = field(default_factory=lambda: Host("10.0.0.2", Role.MASTER))
    files: dict[str, bytes] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    rules: list[tuple[re.Pattern[str], Answer]] = field(default_factory=list)

    def __post_init__(self) -> None:
        def rename(command: Command) -> CommandResult:
            part, name = shlex.split(command.text)[4:6]
            self.files[name], self.modes[name] = self.files.pop(part), self.modes.pop(part)
            return succeeded()

        self.on("another run is at work there", rename)

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
        """Let the ledger's words work on the files in memory; nothing was there before. Its log is a real one."""
        log = "/var/lib/airseal/ledger/log"

        def note(step: Step, thing: Thing | None = None, text: str = "") -> None:
            records, _ = parse(self.files.get(log, b""), log, self.files.get(sign_of(STATE)))
            self.files[log] = self.files.get(log, b"") + encode(Record(len(records) + 1, step, thing, ABSENT if step is Step.INTENT else None, note=text))
            put_up_sign()

        def put_up_sign() -> None:
            whole = self.files[log]
            records, good = parse(whole, log, None)
            if any(record.step is Step.OPENED for record in records):
                self.files[sign_of(STATE)] = Head(len(records), good, hashlib.sha256(whole[:good]).hexdigest()).sign(f"{STATE}/ledger")

        def remember(command: Command) -> CommandResult:
            for thing in _request(command)["things"]:
                note(Step.INTENT, Thing(Kind(thing["kind"]), thing["name"]))
            return succeeded("{}")

        def write(command: Command) -> CommandResult:
            files = _request(command)["files"]
            for file in files:
                note(Step.INTENT, Thing(Kind.FILE, file["path"]))
                self.files[file["path"]], self.modes[file["path"]] = base64.b64decode(file["content"]), file["mode"]
                self.commands.append(Command(f"put {file['path']}", f"write {file['path']}" if len(files) > 1 else ""))
            return succeeded(json.dumps({"changed": [file["path"] for file in files]}))

        def begin(_command: Command) -> CommandResult:
            if not any(record.step is Step.OPENED for record in parse(self.files.get(log, b""), log, None)[0]):
                self.files[log] = b""
                note(Step.OPENED)
            put_up_sign()
            return succeeded('{"begun": true}')

        def hold(command: Command) -> CommandResult:
            for name, value in _request(command)["facts"].items():
                note(Step.FACT, text=f"{name} {value}")
            return succeeded("{}")

        self.on("host ledger check", "{}")
        self.on("host ledger hold", hold).on("host ledger done", "{}").on("host ledger open", begin)
        return self.on("host ledger remember", remember).on("host ledger write", write)

    def noted(self) -> list[str]:
        """The names in the ledger, in order."""
        return [entry.name for entry in Journal(self).entries()]

    def marks(self) -> ScriptedConnection:
        """Let a host be marked as ours on the files in memory: exit status 11 where somebody has marked it."""

        def create(command: Command) -> CommandResult:
            assert isinstance(command.stdin, bytes)
            path = shlex.split(command.text)[-1]
            if path in self.files:
                return failed(11)
            self.files[path], self.modes[path] = command.stdin, 0o600
            return succeeded()

        return self.on(r"mv -nT ", create)

    def tasks(self, *ends: tuple[int, str]) -> ScriptedConnection:
        """Let every task that is started have ended when it is looked at: with the next status and output, or well."""

        def watch(command: Command) -> CommandResult:
            unit = shlex.split(command.text)[4]
            said = f"LoadState=not-found;ActiveState=inactive;SubState=dead;Description={unit}\n"
            started = [each for each in self.commands if "exec systemd-run" in each.text]
            about = [each for each in self.commands if unit in each.text and ("systemctl stop" in each.text)]
            if not about or about[-1] not in started:
                return succeeded(f"{said}\n\n0\n")
            digest = shlex.split(about[-1].text)[8]
            number = len(started) - 1
            status, output = ends[min(number, len(ends) - 1)] if ends else (0, "")
            return succeeded(f"{said}{digest} {status} 100 200\n{digest} 100\n{len(output)}\n{output}")

        return self.on("systemctl stop").on("systemd-run").on("LoadState.*tail -c", watch)

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
