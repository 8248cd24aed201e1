"""Mounts: what is mounted where. A directory is never removed while anything is mounted below it.

``--one-file-system`` does not see a bind mount of the same file system, which is what a local volume is; the table does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of /proc/self/mounts."""

    source: str
    target: str
    kind: str


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """Return the lines; blanks in names are written as octal numbers there: proc(5), /proc/[pid]/mounts and fstab(5)."""
    words = (line.split(" ") for line in text.splitlines())
    return tuple(Mount(_plain(each[0]), _plain(each[1]), each[2]) for each in words if len(each) >= 3)


def below(mounts: Iterable[Mount], directory: str) -> tuple[Mount, ...]:
    """Return what is mounted strictly below ``directory``, deepest and latest first."""
    prefix = f"{directory.rstrip('/')}/"
    latest_first = [mount for mount in reversed(tuple(mounts)) if mount.target.startswith(prefix)]
    return tuple(sorted(latest_first, key=lambda mount: -mount.target.count("/")))


def _plain(word: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), word)
