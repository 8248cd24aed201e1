"""FrozenReferences: what every reference meant when it was first asked for. It means that for the rest of the build.

A tag may move while a build runs, and kubelet resolves ``latest`` again and again; every answer must agree.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.record.line_file import LineFile, damaged_line, read_lines


def read_frozen(path: Path) -> dict[Reference, Descriptor]:
    """Return what a file of FrozenReferences says, in its order, also while a recorder writes it. Raises StoreError."""
    known: dict[Reference, Descriptor] = {}
    for reference, descriptor in _parsed(read_lines(path), path):
        known.setdefault(reference, descriptor)
    return known


class FrozenReferences:
    """Reference → descriptor in a file of JSON lines; survives kill -9. Safe for threads. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self._file = LineFile(path)
        self._lock = threading.Lock()
        self._known: dict[Reference, Descriptor] = {}
        self._claimed: set[Reference] = set()
        for reference, descriptor in _parsed(self._file.load(), path):
            self._known.setdefault(reference, descriptor)

    def claim(self, reference: Reference) -> bool:
        """Tell the first who asks that ``reference`` is new: of several who find out what it means at once, one counts what travelled."""
        with self._lock:
            new = reference not in self._known and reference not in self._claimed
            self._claimed.add(reference)
            return new

    def get(self, reference: Reference) -> Descriptor | None:
        """Return what ``reference`` means, None if it was never asked for."""
        with self._lock:
            return self._known.get(reference)

    def freeze(self, reference: Reference, descriptor: Descriptor) -> tuple[Descriptor, bool]:
        """Return what ``reference`` means from now on: ``descriptor``, unless somebody was earlier; and whether nobody was.

        Raises StoreError.
        """
        with self._lock:
            known = self._known.get(reference)
            if known is not None:
                return known, False
            self._file.append({"reference": str(reference), "descriptor": descriptor.to_json()})
            self._known[reference] = descriptor
            return descriptor, True

    def all(self) -> tuple[tuple[Reference, Descriptor], ...]:
        """Return everything, in the order it was frozen."""
        with self._lock:
            return tuple(self._known.items())

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return the repository's frozen tags, sorted."""
        return tuple(sorted(known.tag for known, _ in self.all() if known.repository == repository and known.tag))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FrozenReferrers:
    """What an upstream said refers to a digest when that was first asked for. Kept like FrozenReferences, safe for threads."""

    def __init__(self, path: Path) -> None:
        self._file = LineFile(path)
        self._lock = threading.Lock()
        self._known: dict[Reference, tuple[Descriptor, ...]] = {}
        for number, value in enumerate(self._file.load(), 1):
            try:
                subject, found = _referrers(value)
            except (RegistryError, TypeError):
                raise damaged_line(path, number) from None
            self._known.setdefault(subject, found)

    def get(self, subject: Reference) -> tuple[Descriptor, ...] | None:
        """Return the referrers of ``subject``, a repository with a digest; None if nobody has asked yet."""
        with self._lock:
            return self._known.get(subject)

    def freeze(self, subject: Reference, found: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
        """Return the referrers from now on: ``found``, unless somebody was earlier. Raises StoreError."""
        with self._lock:
            if subject not in self._known:
                self._file.append({"subject": str(subject), "referrers": [item.to_json() for item in found]})
                self._known[subject] = found
            return self._known[subject]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _referrers(value: object) -> tuple[Reference, tuple[Descriptor, ...]]:
    if not isinstance(value, dict) or not isinstance(value.get("referrers"), list):
        raise TypeError("referrers")
    return Reference.parse(str(value.get("subject"))), tuple(Descriptor.from_json(item) for item in value["referrers"])


def _parsed(values: list[object], path: Path) -> Iterator[tuple[Reference, Descriptor]]:
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict):
            raise damaged_line(path, number)
        try:
            yield Reference.parse(str(value.get("reference"))), Descriptor.from_json(value.get("descriptor"))
        except RegistryError:
            raise damaged_line(path, number) from None
