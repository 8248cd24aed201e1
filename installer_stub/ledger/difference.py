"""Difference: what is not as it was before the installation, one thing a line, from two measurements and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from installer_stub.ledger.network import parse_rules
from installer_stub.ledger.snapshot import Snapshot

OWN: Final = ("/opt/airseal", "/etc/airseal", "/run/airseal", "/run/airseal-keep", "/var/lib/airseal")
# Of whoever looks: logins and what they start. They come and go by themselves.
_SESSION: Final = {
    "process": re.compile(r"sshd.*|sudo|sh|bash|dash|zsh|fish|su|login|agetty|airseal.*|env|timeout|\(sd-pam\)|systemd.*|dbus.*|script|ps|ip|nft|iptables.*"),
    "unit": re.compile(r"user@.*|user-runtime-dir@.*|run-user-.*|systemd-(hostnamed|timedated|localed|tmpfiles-clean)\..*|airseal-.*"),
    "unit file": re.compile(r"airseal-.*|run-.*"),
    "mount": re.compile(r"/run/user/.*|/run/credentials/.*"),
    "data": re.compile(r"/run/(user|sudo|systemd|lock|utmp|motd.*|airseal.*)"),
    "directory of root": re.compile(r"/root/\.(bash_history|lesshst|viminfo|ssh|cache)"),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing. None: it was not there before, or is not there now."""

    section: str
    name: str
    before: str | None
    now: str | None

    def __str__(self) -> str:
        what = f"{self.section} {self.name}"
        if self.before is None:
            return f"{what}: new" + (f", {_short(self.now)}" if self.now and self.section not in {"file", "mount"} else "")
        if self.now is None:
            return f"{what}: gone"
        return f"{what}: was {_short(self.before)}, is {_short(self.now)}"


def compare(before: Snapshot, now: Snapshot) -> tuple[Difference, ...]:
    """Return everything that differs, but for our own places and the session that looks.

    What could not be read before or now is a difference too: it is not known to be the same.
    """
    found = [each for name in now.sections if name in before.sections for each in _section(name, before, now)]
    for name in sorted({*before.unread, *now.unread}):
        when = "before the installation" if name in before.unread else "now"
        found.append(Difference(name, f"could not be read {when}", "", before.unread.get(name) or now.unread.get(name)))
    return tuple(found)


def _section(name: str, before: Snapshot, now: Snapshot) -> Iterator[Difference]:
    old, new = before.section(name), now.section(name)
    if name == "iptables":
        yield from _rules(old, new)
        return
    session = _SESSION.get(name)
    fresh = set(new) - set(old) if name == "file" else set[str]()
    tops = _tops(fresh)
    for key in sorted({*old, *new}):
        if key in fresh and key not in tops:
            continue
        if old.get(key) == new.get(key) or (session is not None and session.fullmatch(key)):
            continue
        if key.startswith("/") and any(key == own or key.startswith(f"{own}/") for own in OWN):
            continue
        more = f", with {tops[key]} more in it" if tops.get(key) else ""
        yield Difference(name, f"{key}{more}", old.get(key), new.get(key))


def _tops(fresh: set[str]) -> dict[str, int]:
    """Return the topmost ones of new paths, and how many stand below each.

    A directory that came as a whole is one thing: the data of an application in it may be a million files.
    """
    tops: dict[str, int] = {}
    for path in fresh:
        top = path
        for parent in map(str, PurePosixPath(path).parents):
            if parent not in fresh:
                break
            top = parent
        tops[top] = tops.get(top, 0) + (path != top)
    return tops


def _rules(old: dict[str, str], new: dict[str, str]) -> Iterator[Difference]:
    for program in sorted(new):
        was, now = parse_rules(old.get(program, "")), parse_rules(new[program])
        for table in now.rules:
            for kind, before, after in (("chain", was.chains, now.chains), ("rule", was.rules, now.rules)):
                ours, theirs = set(before.get(table, ())), set(after.get(table, ()))
                for line in sorted(theirs - ours):
                    yield Difference(program, f"{table} {kind} {line}", None, "")
                for line in sorted(ours - theirs):
                    yield Difference(program, f"{table} {kind} {line}", "", None)


def _short(text: str | None) -> str:
    shown = (text or "").replace("\n", " ")
    return shown if len(shown) <= 60 else f"{shown[:57]}…"
