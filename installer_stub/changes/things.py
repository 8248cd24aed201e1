"""Thing: what on a host can be changed, by kind and name; and how it is looked at. Looking never guesses."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from installer_stub.changes.image import ABSENT, Form, Image
from installer_stub.changes.machine import Machine
from installer_stub.errors import CouldNotTell

_LISTED: Final = 500  # names in a directory that are noted one by one; one with more was somebody's data
_SWAP: Final = str.maketrans("./", "/.")
_KEPT: Final = 4 << 20  # bytes of all files in a directory that are kept


class Kind(StrEnum):
    """What sort of thing."""

    FILE = "file"  # a path: a file, a link, or nothing
    LINK = "link"  # the same, for one that shall be a link
    DIRECTORY = "directory"  # a path that the cluster fills
    PARENT = "parent"  # a directory that was made for a file of ours; it goes when it is empty
    SYSCTL = "sysctl"  # net.ipv4.ip_forward
    MODULE = "module"  # a kernel module
    UNIT = "unit"  # a systemd unit
    BLOCK = "block"  # our marked lines in a file of others


@dataclass(frozen=True, slots=True, order=True)
class Thing:
    """One of them."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look found. ``contents`` are the bytes that its image names, by their sha256."""

    image: Image
    contents: Mapping[str, bytes] = field(default_factory=dict)


def look(machine: Machine, thing: Thing) -> Seen:
    """Return what ``thing`` is now. Raises CouldNotTell: an error of the disk or of systemd is never "not there"."""
    try:
        match thing.kind:
            case Kind.FILE | Kind.LINK | Kind.BLOCK:
                image, data = machine.disk.seen(thing.name)
                return Seen(image, {image.sha256: data} if image.form is Form.FILE else {})
            case Kind.DIRECTORY:
                return _directory(machine, thing.name)
            case Kind.PARENT:
                return Seen(machine.disk.seen(thing.name)[0])
            case Kind.SYSCTL:
                return Seen(_sysctl(machine, thing.name))
            case Kind.MODULE:
                loaded = machine.disk.at(f"/sys/module/{thing.name}").is_dir()
                return Seen(Image(Form.VALUE, value="loaded") if loaded else ABSENT)
            case Kind.UNIT:
                state = machine.units.state(thing.name)
                return Seen(Image(Form.VALUE, value=state) if state else ABSENT)
    except OSError as error:
        raise CouldNotTell(f"{thing}: {error.strerror or error}", "see whether the disk is sound and the file can be read, then run again") from error


def sysctl_path(name: str) -> str:
    """Return where a setting stands. The first separator decides which way round a name is written: sysctl(8)."""
    first = next((letter for letter in name if letter in "./"), ".")
    return f"/proc/sys/{name if first == '/' else name.translate(_SWAP)}"


def _sysctl(machine: Machine, name: str) -> Image:
    try:
        return Image(Form.VALUE, value=machine.disk.at(sysctl_path(name)).read_text(errors="replace").rstrip("\n"))
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT


def _directory(machine: Machine, name: str) -> Seen:
    image, _ = machine.disk.seen(name)
    if image.form is not Form.DIRECTORY:
        return Seen(image)
    present = replace(image, value="present")
    contents: dict[str, bytes] = {}
    found: dict[str, object] = {}
    for path in walk(machine, name):
        each, data = machine.disk.seen(f"{name}/{path}")
        found[path] = each.to_json()
        if each.form is Form.FILE:
            contents[each.sha256] = data
        if len(found) > _LISTED or sum(map(len, contents.values())) > _KEPT:
            return Seen(present)
    if not found:
        return Seen(replace(image, value="empty"))
    listing = json.dumps(found, sort_keys=True).encode()
    digest = hashlib.sha256(listing).hexdigest()
    return Seen(replace(present, sha256=digest), {**contents, digest: listing})


def walk(machine: Machine, name: str) -> Iterator[str]:
    """Yield the paths of everything below a directory, relative to it, parents first. Links are not followed."""
    stack = [""]
    while stack:
        at = stack.pop()
        with os.scandir(machine.disk.at(f"{name}/{at}")) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            path = f"{at}/{entry.name}".lstrip("/")
            yield path
            if entry.is_dir(follow_symlinks=False):
                stack.append(path)
