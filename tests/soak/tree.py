"""Files below some directories of a host: what each is, as a line that two installations of the same bundle share.

    /etc/hosts            file 0644 0:0 text:3f…
    /usr/local/bin/helm   link -> /opt/airseal/…/helm
    /etc/airseal/ca.crt   file 0644 0:0 1 certificate

Texts have the bed's addresses and what is random or of the hour replaced, keys and certificates are told by kind, and
everything else by its SHA-256.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from tests.soak import words
from tests.soak.facts import Facts

_TEXT = 256 << 10  # a text of more bytes is told by its SHA-256
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?")
_SECONDS = re.compile(r"\b1[78]\d{8}(\.\d+)?\b")  # Unix time from 2023 to 2033
# A file's size, times and number, as airseal remembers one that it has hashed: of this disk and this hour.
_STAMP = re.compile(r'("stamp": "\d+ <time> <time>) \d+"')


@dataclass(frozen=True)
class Rule:
    """Files whose bytes may differ, or which may be there or not; and why. ``path`` is a pattern, ``*`` takes slashes too."""

    path: str
    why: str
    absent: bool = False
    """Not looked at at all; else by kind, owner and mode."""


@dataclass(frozen=True)
class Walk:
    """What to look at, and how."""

    tops: Sequence[str]
    rules: Sequence[Rule] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """What to put for an address: ``10.78.3.11`` -> ``<m1>``."""

    def of(self, root: Path) -> Facts:
        """Return the files below the ``tops`` of a host whose file system is at ``root``."""
        texts: dict[str, str] = {}
        files = {path: self._tell(root, path, texts) for path in self._paths(root)}
        return Facts("", {"file": files}, texts)

    def _paths(self, root: Path) -> Iterator[str]:
        for top in self.tops:
            yield from self._below(root, top)

    def _below(self, root: Path, path: str) -> Iterator[str]:
        if self._rule(path, absent=True):
            return
        real = root / path.lstrip("/")
        try:
            # The root itself is followed: /proc/PID/root is a link, and one that nothing but the kernel can read.
            mode = real.stat().st_mode if path == "/" else real.lstat().st_mode
        except FileNotFoundError:
            return
        if path != "/":
            yield path
        if stat.S_ISDIR(mode):
            for name in sorted(_listed(real)):
                yield from self._below(root, f"{path.rstrip('/')}/{name}")

    def _rule(self, path: str, *, absent: bool) -> bool:
        return any(rule.absent is absent and fnmatchcase(path, rule.path) for rule in self.rules)

    def _tell(self, root: Path, path: str, texts: dict[str, str]) -> str:
        real = root / path.lstrip("/")
        try:
            found = real.lstat()
            owned = f"{stat.S_IMODE(found.st_mode):04o} {found.st_uid}:{found.st_gid}"
            if stat.S_ISLNK(found.st_mode):
                return f"link -> {self.masked(str(real.readlink()))}"
            if stat.S_ISDIR(found.st_mode):
                return f"directory {owned}"
            if not stat.S_ISREG(found.st_mode):
                return f"other {stat.S_IFMT(found.st_mode):o} {owned}"
            return f"file {owned} {self._content(real, found.st_size, path, texts)}"
        except FileNotFoundError:
            return "gone while it was looked at"

    def _content(self, real: Path, size: int, path: str, texts: dict[str, str]) -> str:
        if self._rule(path, absent=False):
            return "content of its own"
        if size <= _TEXT:
            data = real.read_bytes()
            if labels := _PEM.findall(data):
                return _pem(labels)
            if not data:
                return "empty"
            if b"\0" not in data:
                text = words.worded(_members_in_order(self._of_here(data.decode(errors="surrogateescape"))))
                key = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
                texts[key] = text.encode(errors="surrogateescape").decode(errors="replace")
                return f"text:{key}"
        with real.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"

    def masked(self, text: str) -> str:
        """Return ``text`` with addresses, times and random words replaced."""
        return words.masked(self._of_here(text))

    def _of_here(self, text: str) -> str:
        for address in sorted(self.names, key=len, reverse=True):
            text = re.sub(rf"(?<![0-9.]){re.escape(address)}(?![0-9])", self.names[address], text)
        return _STAMP.sub(r'\1 <file>"', _SECONDS.sub("<time>", _TIME.sub("<time>", text)))


def _members_in_order(text: str) -> str:
    """Return ``text`` with etcd's members in one order: kubeadm lists them by their random ids."""
    return re.sub(r"(--initial-cluster=)(\S+)", lambda found: found[1] + ",".join(sorted(found[2].split(","))), text)


def _listed(directory: Path) -> list[str]:
    try:
        return [entry.name for entry in directory.iterdir()]
    except (FileNotFoundError, PermissionError):
        return []


def _pem(labels: Iterable[bytes]) -> str:
    counts: dict[str, int] = {}
    for label in labels:
        counts[label.decode().lower()] = counts.get(label.decode().lower(), 0) + 1
    return ", ".join(f"{count} {label}" for label, count in sorted(counts.items()))
