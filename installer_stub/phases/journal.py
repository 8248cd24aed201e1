"""Journal: what a host was like before we changed it, kept on the host itself, and how to put it back.

One JSON object a line in ``/var/lib/airseal/journal.jsonl``. The first value of a thing wins, so a second run, or one
after a kill, never takes our own change for what was there before. Order on the host is always: backup, journal line
synced, change. A line torn by a power cut is skipped when read: its change had not begun.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from installer_stub.errors import HostError
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection, write
from installer_stub.plan import STATE


class Kind(StrEnum):
    """What sort of thing a line is about."""

    FILE = "file"  # a path; previously absent, or the path of its backup
    DIRECTORY = "directory"  # a path; absent, "empty" or "present"
    SYSCTL = "sysctl"  # net.ipv4.ip_forward; absent, or its value
    MODULE = "module"  # a kernel module; absent, or "loaded"
    UNIT = "unit"  # a systemd unit; absent, or "enabled"/"disabled"
    BLOCK = "block"  # our marked lines in /etc/hosts; always absent before


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: a thing, and what it was. None means it was not there."""

    kind: Kind
    name: str
    previous: str | None


_LOOK: Final = """\
backup=$1; shift
mkdir -p "$backup"; chmod 0700 "$backup"
while [ $# -gt 0 ]; do
  kind=$1 name=$2; shift 2; was=
  case $kind in
  file)
    if [ -e "$name" ] || [ -L "$name" ]; then
      key=$(printf %s "$name" | sha256sum); was=$backup/${key%% *}
      cp -a -- "$name" "$was.new"; mv -fT -- "$was.new" "$was"
    fi ;;
  directory)
    if [ -d "$name" ]; then was=present; [ -n "$(ls -A -- "$name")" ] || was=empty; fi ;;
  sysctl) if [ -r "/proc/sys/$name" ]; then was=$(cat "/proc/sys/$name"); fi ;;
  module) if [ -d "/sys/module/$name" ]; then was=loaded; fi ;;
  unit)
    was=$(systemctl is-enabled "$name" 2>/dev/null || true)
    case $was in enabled|disabled) ;; *) was= ;; esac ;;
  esac
  printf '%s\\t%s\\t%s\\n' "$kind" "$name" "$was"
done
sync "$backup"
"""

_APPEND: Final = """\
umask 077; mkdir -p "${1%/*}"
if [ -s "$1" ] && [ -n "$(tail -c 1 "$1")" ]; then echo >> "$1"; fi
cat >> "$1"; sync "$1"
"""

# Whatever fails is said and the rest goes on: half a restoration is worse than a complete one with one complaint.
_RESTORE: Final = """\
set +e
while [ $# -gt 0 ]; do
  kind=$1 name=$2 was=$3; shift 3
  case $kind in
  file)
    if [ -z "$was" ]; then rm -f -- "$name"
    elif [ -e "$was" ] || [ -L "$was" ]; then
      cp -a -- "$was" "$name.airseal-old" && { mv -fT -- "$name.airseal-old" "$name" 2>/dev/null \
        || { cat "$was" > "$name"; rm -f -- "$name.airseal-old"; }; }
    fi ;;
  directory)
    case $was in
    '') rm -rf --one-file-system -- "$name" 2>/dev/null ; rmdir -- "$name" 2>/dev/null
        # What is mounted here (a disk, a docker volume) stays; only its content was ours.
        if mountpoint -q "$name" 2>/dev/null || [ -z "$(ls -A -- "$name" 2>/dev/null)" ]; then true; else false; fi ;;
    empty) rm -rf --one-file-system -- "$name"/* "$name"/.[!.]* ;;
    esac ;;
  sysctl) [ -z "$was" ] || [ "$(cat "/proc/sys/$name")" = "$was" ] || printf '%s\\n' "$was" > "/proc/sys/$name" ;;
  module) [ -n "$was" ] || ! [ -d "/sys/module/$name" ] || modprobe -r "$name" 2>/dev/null || true ;;
  unit)
    case $was in
    enabled) systemctl daemon-reload; systemctl enable --now "$name" ;;
    *) systemctl disable --now "$name" 2>/dev/null || true ;;
    esac ;;
  esac
  [ $? -eq 0 ] || printf '%s %s\\n' "$kind" "$name"
done
systemctl daemon-reload
true
"""


def parse(data: bytes | None) -> tuple[Entry, ...]:
    """Return the lines of a journal in order, the first one of each thing, without torn ones."""
    first: dict[tuple[Kind, str], Entry] = {}
    for line in (data or b"").splitlines():
        try:
            value = json.loads(line)
            entry = Entry(Kind(value["kind"]), str(value["name"]), value["previous"])
        except (ValueError, KeyError, TypeError):
            continue
        first.setdefault((entry.kind, entry.name), entry)
    return tuple(first.values())


def render(entries: Sequence[Entry]) -> bytes:
    """Return the lines of ``entries``."""
    lines = (json.dumps({"kind": e.kind.value, "name": e.name, "previous": e.previous}) + "\n" for e in entries)
    return "".join(lines).encode()


class Journal:
    """The journal of the host at the other end of ``connection``."""

    def __init__(self, connection: Connection, state: str = STATE) -> None:
        self._connection = connection
        self._path = f"{state}/journal.jsonl"
        self._backup = f"{state}/backup"

    def entries(self) -> tuple[Entry, ...]:
        """Return what is noted so far."""
        return parse(self._connection.read(self._path))

    def remember(self, *things: tuple[Kind, str]) -> None:
        """Note what ``things`` are now, those that are not noted yet. Call it before changing them."""
        noted = {(entry.kind, entry.name) for entry in self.entries()}
        new = [thing for thing in dict.fromkeys(things) if thing not in noted]
        if not new:
            return
        pairs = [text for kind, name in new for text in (kind.value, name.replace(".", "/") if kind is Kind.SYSCTL else name)]
        look = Command.shell(_LOOK, self._backup, *pairs, changes="back up what is about to change")
        lines = self._connection.run(look).stdout.splitlines()
        if len(lines) != len(new):
            raise HostError(self._connection.host.address, f"cannot tell what is there now: {lines[:3]}", "nothing was changed; run again")
        found = [line.split("\t", 2)[2] if line.count("\t") >= 2 else "" for line in lines]
        entries = [Entry(kind, name, was or None) for (kind, name), was in zip(new, found, strict=True)]
        append = Command.shell(_APPEND, self._path, changes="write the journal", stdin=render(entries))
        self._connection.run(append)

    def write(self, path: str, content: str, *, mode: int = 0o644) -> bool:
        """Make ``path`` hold ``content``, remembering what was there. Tell whether anything changed."""
        if self._connection.read(path) == content.encode():
            return False
        self.remember((Kind.FILE, path))
        return write(self._connection, path, content, mode=mode)

    def restore(self) -> tuple[str, ...]:
        """Put everything back, last change first. Return what could not be put back. Safe to run twice."""
        triples = [
            text
            for entry in reversed(self.entries())
            if entry.kind is not Kind.BLOCK
            for text in (
                entry.kind.value,
                entry.name.replace(".", "/") if entry.kind is Kind.SYSCTL else entry.name,
                entry.previous or "",
            )
        ]
        if not triples:
            return ()
        result = self._connection.run(Command.shell(_RESTORE, *triples, changes="put the host back as it was"))
        return tuple(result.stdout.splitlines())
