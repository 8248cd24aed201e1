"""Names for cluster files in the directories where others look: ``/usr/local/bin/kubectl`` → ours.

Only an absent name, or a link that is already ours, is ever replaced.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from installer_stub.errors import InstallerError, UsageError


@dataclass(frozen=True, slots=True)
class LinkRule:
    """``bin=/usr/local/bin``: every file right below ``bin`` gets a link of its name in ``/usr/local/bin``."""

    directory: str
    target: Path

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rule that ``text`` spells. Raises UsageError."""
        directory, equals, target = text.partition("=")
        if not equals or not directory or not target.startswith("/"):
            raise UsageError(f"{text!r} is not a link rule", "write --link bin=/usr/local/bin")
        return cls(directory, Path(target))


@dataclass(frozen=True, slots=True)
class Link:
    """One symbolic link: where it stands and where it leads."""

    path: Path
    destination: Path


def missing_links(files: Iterable[str], into: Path, rules: Sequence[LinkRule]) -> tuple[Link, ...]:
    """Return the links to ``files`` (paths below ``into``) that are not there yet or lead to an older version of ours. Reads only.

    Raises InstallerError with every name that something of others holds.
    """
    wanted = [
        Link(rule.target / path.name, into / path)
        for path in map(PurePosixPath, files)
        for rule in rules
        if str(path.parent) == rule.directory
    ]
    missing = [link for link in wanted if not _is_right(link)]
    foreign = [link.path for link in missing if not _may_replace(link.path, into.parent)]
    if foreign:
        names = "".join(f"\n  - {path}" for path in foreign)
        moves = " && ".join(f"mv {shlex.quote(str(path))} {shlex.quote(str(path))}.before-airseal" for path in foreign)
        raise InstallerError(f"these names are taken by files that are not ours:{names}", f"remove the packages they came from, or move them away: {moves}")
    return tuple(missing)


def make_links(links: Iterable[Link]) -> None:
    """Make the links, each in one step. Raises InstallerError."""
    for link in links:
        part = link.path.with_name(f".{link.path.name}.airseal-part")
        try:
            link.path.parent.mkdir(parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            part.symlink_to(link.destination)
            part.rename(link.path)
        except OSError as error:
            raise InstallerError(f"cannot make the link {link.path}: {error.strerror}", "see whether its file system is mounted read-only") from error


def _is_right(link: Link) -> bool:
    try:
        return link.path.readlink() == link.destination
    except OSError:
        return False


def _may_replace(path: Path, ours: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return True
    if not stat.S_ISLNK(found.st_mode):
        return False
    return Path(os.path.normpath(path.readlink())).is_relative_to(ours)
