"""Journal: who asked for which image, and what travelled for it, in the order it happened. Kept on disk line by line.

Two kinds of lines. A pull: one request for an image. A fetch: one manifest or blob that came because of pulls; it comes
once, however many images hold it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from registry_snapshot.errors import DigestInvalid, ReferenceInvalid
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.record.line_file import LineFile, damaged_line, read_lines

_MOST_ALIKE = 1000  # pulls that say the same: a pod in a loop must not fill the disk. Nobody counts further

LISTED = "LISTED"  # the method of an image that nobody pulled: it was named, and ``client`` says by what


@dataclass(frozen=True, slots=True)
class Pull:
    """One request for an image. ``time`` is in seconds since 1970.

    ``client`` is an IP address, ``method`` HEAD, GET or LISTED, ``upstream`` who really answered. ``bytes`` is what
    travelled of the manifest for this answer (0: it was here), ``retries`` how often the upstream had to be asked again.
    """

    time: float
    client: str
    reference: Reference
    digest: Digest
    method: str
    upstream: str
    bytes: int
    retries: int = 0

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Return the pull in parsed JSON. Raises ValueError."""
        if not isinstance(value, dict):
            raise ValueError("a pull is no object")  # noqa: TRY004 - one kind of error for one kind of damage
        try:
            return cls(
                float(value["time"]),
                str(value["client"]),
                Reference.parse(str(value["reference"])),
                Digest.parse(str(value["digest"])),
                str(value["method"]),
                str(value["upstream"]),
                int(value["bytes"]),
                int(value.get("retries", 0)),
            )
        except (KeyError, TypeError, DigestInvalid, ReferenceInvalid) as error:
            raise ValueError(str(error)) from None

    @property
    def what(self) -> tuple[str, Reference, str]:
        """What a pull has in common with others that say the same: who asked for what, and how."""
        return self.client, self.reference, self.method

    def to_json(self) -> dict[str, object]:
        """Return the pull as JSON values."""
        return {
            "time": self.time,
            "client": self.client,
            "reference": str(self.reference),
            "digest": str(self.digest),
            "method": self.method,
            "upstream": self.upstream,
            "bytes": self.bytes,
            "retries": self.retries,
        }


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came for one digest: ``bytes`` that really travelled, those that came twice counted twice, and ``retries``."""

    time: float
    repository: Repository
    digest: Digest
    upstream: str
    bytes: int
    retries: int

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Return the fetch in parsed JSON. Raises ValueError."""
        if not isinstance(value, dict):
            raise ValueError("a fetch is no object")  # noqa: TRY004 - one kind of error for one kind of damage
        try:
            registry, _, path = str(value["fetched"]).partition("/")
            return cls(
                float(value["time"]),
                Repository.of(registry, path),
                Digest.parse(str(value["digest"])),
                str(value["upstream"]),
                int(value["bytes"]),
                int(value["retries"]),
            )
        except (KeyError, TypeError, DigestInvalid, ReferenceInvalid) as error:
            raise ValueError(str(error)) from None

    def to_json(self) -> dict[str, object]:
        """Return the fetch as JSON values."""
        return {
            "time": self.time,
            "fetched": str(self.repository),
            "digest": str(self.digest),
            "upstream": self.upstream,
            "bytes": self.bytes,
            "retries": self.retries,
        }


@dataclass(frozen=True)
class History:
    """What a journal says: pulls and fetches, each in order."""

    pulls: tuple[Pull, ...]
    fetches: tuple[Fetched, ...]

    def pulls_of(self, reference: Reference) -> tuple[Pull, ...]:
        """Return the pulls of one image."""
        return tuple(self._pulls.get(reference, ()))

    def fetches_of(self, digest: Digest) -> tuple[Fetched, ...]:
        """Return what came for one digest: more than once only if the upstream was asked again."""
        return tuple(self._fetches.get(digest, ()))

    # A journal may have a line for every restart of every pod: who asks for each image must not read all of them each time.
    @cached_property
    def _pulls(self) -> dict[Reference, list[Pull]]:
        found: dict[Reference, list[Pull]] = {}
        for pull in self.pulls:
            found.setdefault(pull.reference, []).append(pull)
        return found

    @cached_property
    def _fetches(self) -> dict[Digest, list[Fetched]]:
        found: dict[Digest, list[Fetched]] = {}
        for fetch in self.fetches:
            found.setdefault(fetch.digest, []).append(fetch)
        return found


def read_history(path: Path) -> History:
    """Return what a journal's file says, also while a recorder writes it. Changes nothing. Raises StoreError."""
    return _history(read_lines(path), path)


class Journal:
    """Pulls and fetches in a file of JSON lines. Safe for threads. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self._file = LineFile(path)
        history = _history(self._file.load(), path)
        self._pulls, self._fetches = list(history.pulls), list(history.fetches)
        self._alike = Counter(pull.what for pull in self._pulls)
        self._lock = threading.Lock()

    def append(self, line: Pull | Fetched) -> None:
        """Write down one pull or fetch; it is on the disk when this returns. Raises StoreError."""
        self.sync(self.begin(line))

    def begin(self, line: Pull | Fetched) -> int:
        """Write down one pull or fetch and return its number: a kill leaves it, a power cut only after ``sync``. Raises StoreError."""
        with self._lock:  # so that the order is the file's
            if isinstance(line, Pull):
                alike = self._alike.get(line.what, 0)
                if alike >= _MOST_ALIKE:
                    return 0
                self._alike[line.what] = alike + 1
            number = self._file.write(line.to_json())
            if isinstance(line, Pull):
                self._pulls.append(line)
            else:
                self._fetches.append(line)
            return number

    def sync(self, number: int) -> None:
        """Return when what ``begin`` returned ``number`` for is on the disk. Raises StoreError."""
        self._file.sync(number)

    def history(self) -> History:
        """Return everything so far."""
        with self._lock:
            return History(tuple(self._pulls), tuple(self._fetches))

    def __iter__(self) -> Iterator[Pull]:
        return iter(self.history().pulls)

    def __len__(self) -> int:
        return len(self._pulls)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _history(values: Iterable[object], path: Path) -> History:
    pulls: list[Pull] = []
    fetches: list[Fetched] = []
    for number, value in enumerate(values, 1):
        try:
            if isinstance(value, dict) and "fetched" in value:
                fetches.append(Fetched.from_json(value))
            else:
                pulls.append(Pull.from_json(value))
        except ValueError:
            raise damaged_line(path, number) from None
    return History(tuple(pulls), tuple(fetches))


