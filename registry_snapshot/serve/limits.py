"""How much of a server one client, and how much of a process all clients together, may take."""

from __future__ import annotations

import logging
import resource
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)
_SPARE_FILES = 64  # what a process needs beside connections: its libraries, its log, its listeners
_FILES_EACH = 2  # a connection, and the blob that it is being sent


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one server. Times in seconds."""

    connections: int = 8192  # open at once, idle ones included; at least half of that many may idle
    workers: int = 512  # threads: one for each answer that waits for an upstream or sends a large body right now
    handshake: float = 15
    receive: float = 20  # a whole request head
    idle: float = 60  # between requests; Go clients drop idle connections after 30 to 90
    stall: float = 60  # a client that takes no byte of a body
    drain: float = 1  # for a client to read our answer before we close on what it still sends
    stop: float = 5  # for transfers to end when the server stops


def raise_file_limit() -> int:
    """Raise the process's limit of open files to what the system allows, and return it.

    Every service starts with 1024 (systemd's soft limit, for programs that use select); thousands of connections need more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            _log.warning("the limit of open files stays %s: %s", soft, error)
            return soft
    return hard


def most_connections(limits: Limits) -> int:
    """Return how many connections this process can have, so that there is always a file left to answer from."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return limits.connections
    try:
        taken = sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        taken = _SPARE_FILES
    return max(min(limits.connections, (soft - taken - _SPARE_FILES) // _FILES_EACH), 1)
