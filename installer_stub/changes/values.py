"""Change: something that shall be so, as a value. It can be looked at, told, noted before and after, and then made.

Making is not for callers: ``installer_stub.ledger`` notes the change first.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from installer_stub.changes import block
from installer_stub.changes.disk import above
from installer_stub.changes.image import ABSENT, Form, Image
from installer_stub.changes.machine import Machine
from installer_stub.changes.things import Kind, Thing, look, sysctl_path
from installer_stub.errors import CouldNotTell


class Observed(StrEnum):
    """How a host is, against what a change wants."""

    SAME = "same"
    DIFFERENT = "different"
    ABSENT = "absent"
    UNKNOWN = "unknown"  # an error of the disk: nothing may be concluded, and nothing done


class Change(Protocol):
    """One change of one thing."""

    @property
    def thing(self) -> Thing:
        """What it changes."""

    def describe(self) -> str:
        """Say in a few words what it does."""

    def after(self, before: Image, machine: Machine) -> Image:
        """Return the image that ``thing`` has once it is made. Reads only. Raises CouldNotTell."""

    def make(self, machine: Machine) -> None:
        """Do it. Raises OSError, NotPutBack."""


def observe(change: Change, machine: Machine) -> Observed:
    """Compare the host with what ``change`` wants."""
    try:
        now = look(machine, change.thing).image
        wanted = change.after(now, machine)
    except (CouldNotTell, OSError):
        return Observed.UNKNOWN
    if now.matches(wanted):
        return Observed.SAME
    return Observed.ABSENT if now.form is Form.ABSENT else Observed.DIFFERENT


@dataclass(frozen=True, slots=True)
class WriteFile:
    """A file with this content and mode, root's. The directory above it is there."""

    path: str
    content: bytes
    mode: int = 0o644

    @property
    def thing(self) -> Thing:
        """The path."""
        return Thing(Kind.FILE, self.path)

    def describe(self) -> str:
        """Never shows content: it may be a login."""
        return f"write {self.path} ({len(self.content)} bytes, mode {self.mode:04o})"

    def after(self, before: Image, machine: Machine) -> Image:
        """Owner is whoever we are: root on a host."""
        del before, machine
        digest = hashlib.sha256(self.content).hexdigest()
        return Image(Form.FILE, digest, len(self.content), self.mode, os.geteuid(), os.getegid())

    def make(self, machine: Machine) -> None:
        """Replace it whole."""
        machine.disk.replace(self.path, self.content, self.after(ABSENT, machine))


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    path: str
    target: str

    @property
    def thing(self) -> Thing:
        """The path."""
        return Thing(Kind.LINK, self.path)

    def describe(self) -> str:
        """Say where it leads."""
        return f"link {self.path} to {self.target}"

    def after(self, before: Image, machine: Machine) -> Image:
        """A link is its target."""
        del before, machine
        return Image(Form.LINK, target=self.target)

    def make(self, machine: Machine) -> None:
        """Replace it in one step."""
        machine.disk.replace_link(self.path, self.target)


@dataclass(frozen=True, slots=True)
class Block:
    """Marked lines of ours in a file of others, whose other bytes stay as they are."""

    path: str
    lines: tuple[str, ...]

    @property
    def thing(self) -> Thing:
        """The file."""
        return Thing(Kind.BLOCK, self.path)

    def describe(self) -> str:
        """Say how many lines."""
        return f"write {len(self.lines)} lines of airseal's into {self.path}"

    def after(self, before: Image, machine: Machine) -> Image:
        """The file as it is, with the block."""
        data = self.wanted(machine)
        return Image(Form.FILE, hashlib.sha256(data).hexdigest(), len(data), before.mode or 0o644, before.uid, before.gid)

    def make(self, machine: Machine) -> None:
        """Replace the file; in place where it is a mount point, as docker makes /etc/hosts."""
        image, _ = machine.disk.seen(self.path)
        machine.disk.replace(self.path, self.wanted(machine), self.after(image, machine))

    def wanted(self, machine: Machine) -> bytes:
        """Return the whole file's bytes. Kept by the ledger: a mount point is written in place, and may be cut off half-way."""
        return block.with_block(machine.disk.seen(self.path)[1], tuple(line.encode() for line in self.lines))


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A kernel setting, now. What it is after the next start is a file's affair."""

    name: str
    value: str

    @property
    def thing(self) -> Thing:
        """The setting."""
        return Thing(Kind.SYSCTL, self.name)

    def describe(self) -> str:
        """As sysctl(8) writes it."""
        return f"set {self.name} = {self.value}"

    def after(self, before: Image, machine: Machine) -> Image:
        """Its text."""
        del before, machine
        return Image(Form.VALUE, value=self.value)

    def make(self, machine: Machine) -> None:
        """Write it."""
        machine.disk.set(sysctl_path(self.name), f"{self.value}\n")


@dataclass(frozen=True, slots=True)
class Module:
    """A kernel module, loaded."""

    name: str

    @property
    def thing(self) -> Thing:
        """The module."""
        return Thing(Kind.MODULE, self.name)

    def describe(self) -> str:
        """Say so."""
        return f"load the kernel module {self.name}"

    def after(self, before: Image, machine: Machine) -> Image:
        """Loaded."""
        del before, machine
        return Image(Form.VALUE, value="loaded")

    def make(self, machine: Machine) -> None:
        """modprobe(8)."""
        machine.programs.do("modprobe", self.name)


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory that is there; what is in it is others' affair."""

    path: str
    mode: int = 0o755

    @property
    def thing(self) -> Thing:
        """The path."""
        return Thing(Kind.DIRECTORY, self.path)

    def describe(self) -> str:
        """Say so."""
        return f"make the directory {self.path}"

    def after(self, before: Image, machine: Machine) -> Image:
        """Whatever directory is there is right."""
        del machine
        return before if before.form is Form.DIRECTORY else Image(Form.DIRECTORY, value="empty", mode=self.mode)

    def make(self, machine: Machine) -> None:
        """Make it, and let it outlive a power cut."""
        machine.disk.mkdir(self.path, self.mode)
        machine.disk.sync(above(self.path))
