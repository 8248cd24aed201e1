"""The interface of a real client: what it can express, and a session with it that begins with an empty store."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from tests.clients.world import World

Reports = Literal["root", "child"]
"""Which digest a client says it has: of the very manifest or index it was told, or of the manifest for its platform."""

_START_SECONDS = 60


@dataclass(frozen=True)
class Manners:
    """What differs between clients, so that a test knows what to expect."""

    scenarios: frozenset[str]
    """What it can express."""
    reports: Reports
    refuses: frozenset[str] = frozenset()
    """What it asks for and then refuses, whoever serves it."""
    heads_only: bool = False
    """Of content that it has, under any name, it sends nothing but a HEAD for the tag."""
    all_metadata: bool = False
    """Of an index it reads the manifests and configs of all platforms."""
    also: tuple[str, ...] = ()
    """What it pulls without being asked."""


class PullFailedError(Exception):
    """A pull failed; the text is the client's own."""


@dataclass(frozen=True)
class Place:
    """Where a session happens. ``directory`` is empty at first, and whatever the client keeps is below it."""

    directory: Path
    network: World
    registry: str
    """``address:port`` of our registry, without TLS."""


class Session(Protocol):
    """A client that runs."""

    def pull(self, reference: Reference) -> Digest:
        """Pull an image and return the digest the client then has it by. Raises PullFailedError."""


class Client(Protocol):
    """One kind of client."""

    @property
    def name(self) -> str:
        """The name in tests and in traces' files."""

    @property
    def manners(self) -> Manners:
        """What to expect of it."""

    def session(self, place: Place) -> AbstractContextManager[Session]:
        """Start it with an empty store, told to pull from ``place.registry`` alone."""


def digest_in(text: str) -> Digest:
    """Return the one digest in a line such as ``name@sha256:…``."""
    return Digest.parse(text.strip().rpartition("@")[2])


@contextmanager
def daemon(command: list[str], environment: dict[str, str], log: Path, answers: Callable[[], bool]) -> Iterator[None]:
    """Run a daemon of a client until the end of the block."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not answers():
            assert process.poll() is None, f"{command} ended:\n{_end_of(log)}"
            assert time.monotonic() < deadline, f"{command} does not answer:\n{_end_of(log)}"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
