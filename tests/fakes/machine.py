"""A host in a directory: real files, and units, programs and processes that only pretend."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from installer_stub.changes.disk import Disk
from installer_stub.changes.machine import Machine, Programs
from installer_stub.errors import NotPutBack
from installer_stub.ledger.containers import Processes


@dataclass
class FakeUnits:
    """``states`` by name: "enabled active". A name in ``stubborn`` does nothing that it is told."""

    states: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    stubborn: set[str] = field(default_factory=set)

    def state(self, name: str) -> str:
        return self.states.get(name, "")

    def do(self, verb: str, *names: str) -> None:
        self.done.append(" ".join((verb, *names)))
        for name in names:
            if name in self.stubborn:
                raise NotPutBack(f"systemctl {verb} {name}: Job failed")
            enabled, _, active = self.states.get(name, "disabled inactive").partition(" ")
            changed = {
                "enable": ("enabled", active),
                "disable": ("disabled", active),
                "mask": ("masked", active),
                "start": (enabled, "active"),
                "stop": (enabled, "inactive"),
            }
            self.states[name] = " ".join(changed.get(verb, (enabled, active)))

    def listed(self, pattern: str) -> tuple[str, ...]:
        return tuple(sorted(name for name in self.states if name.startswith(pattern.rstrip("*"))))


@dataclass
class FakePrograms(Programs):
    """Answers by the first words; what has no answer is not installed."""

    answers: dict[str, str | int] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    stdins: list[str] = field(default_factory=list)

    def run(self, *argv: str, stdin: str = "", timeout: float = 60.0) -> subprocess.CompletedProcess[str] | None:
        self.asked.append(argv)
        self.stdins.append(stdin)
        text = " ".join(argv)
        for words, answer in self.answers.items():
            if text == words or text.startswith(f"{words} "):
                status = answer if isinstance(answer, int) else 0
                return subprocess.CompletedProcess(argv, status, answer if isinstance(answer, str) else "", "no" if status else "")
        return None


_DIRECTORIES = ("proc/self", "proc/sys/net", "sys/module", "sys/class/net", "sys/fs/cgroup", "etc", "opt", "usr/local", "run", "root", "var/lib")


@dataclass
class FakeHost:
    root: Path
    units: FakeUnits = field(default_factory=FakeUnits)
    programs: FakePrograms = field(default_factory=FakePrograms)
    disk: Disk | None = None
    directories: tuple[str, ...] = _DIRECTORIES

    def __post_init__(self) -> None:
        for directory in self.directories:
            (self.root / directory).mkdir(parents=True, exist_ok=True)
        self.put("/proc/self/mounts", "/dev/vda / ext4 rw 0 0\n")
        self.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")

    @property
    def machine(self) -> Machine:
        return Machine(self.disk or Disk(self.root), self.units, self.programs)

    @property
    def processes(self) -> Processes:
        return Processes(self.root / "proc", self.root / "sys/fs/cgroup", lambda _pid, _signal: None)

    def put(self, name: str, text: str | bytes, mode: int = 0o644) -> Path:
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(mode)
        return path

    def path(self, name: str) -> Path:
        return self.root / name.lstrip("/")

    def tree(self, *without: str) -> dict[str, tuple[object, ...]]:
        """Everything that stands there: content, mode, target. Times do not count."""
        found: dict[str, tuple[object, ...]] = {}
        for path in sorted(self.root.rglob("*")):
            name = f"/{path.relative_to(self.root)}"
            if any(name == each or name.startswith(f"{each}/") for each in without):
                continue
            if path.is_symlink():
                found[name] = ("link", str(path.readlink()))
            elif path.is_dir():
                found[name] = ("directory", path.stat().st_mode)
            else:
                found[name] = ("file", path.stat().st_mode, path.read_bytes())
        return found
