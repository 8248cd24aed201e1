"""What somebody else may have laid at a name before us: each a function of that name and of a victim's file."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

Trap = Callable[[Path, Path], None]


def linked(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def dangling(path: Path, victim: Path) -> None:
    path.symlink_to(victim.with_name("nothing"))


def hard_linked(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def piped(path: Path, _: Path) -> None:
    os.mkfifo(path)


def directory(path: Path, _: Path) -> None:
    path.mkdir()


def bound(path: Path, _: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # a socket's path may have 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(before)


def writable(path: Path, _: Path) -> None:
    path.write_bytes(b"left")
    path.chmod(0o666)


def by_group(path: Path, _: Path) -> None:
    path.write_bytes(b"left")
    path.chmod(0o620)


def strange(path: Path, _: Path) -> None:
    path.write_bytes(b"left")
    os.chown(path, 65534, 65534)


TRAPS = [linked, dangling, hard_linked, piped, directory, bound, writable, by_group]
if os.geteuid() == 0:
    TRAPS.append(strange)
