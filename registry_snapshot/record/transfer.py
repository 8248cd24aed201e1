"""Transfer: one blob on its way from an upstream into the store, however many wait for it.

It belongs to nobody: a client that goes away cancels nothing, since the recording needs the blob all the same.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Repository
from registry_snapshot.store.growth import GrowingExtent, Growth, GrowthEndedError


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came for one digest: ``bytes`` that really travelled, those that came twice counted twice, and ``retries``."""

    repository: Repository
    digest: Digest
    upstream: str
    bytes: int
    retries: int


class Transfer:
    """The transfer of ``wanted`` for ``repository``. Safe for threads."""

    def __init__(self, repository: Repository, wanted: Descriptor) -> None:
        self.repository = repository
        self.wanted = wanted
        self.error: RegistryError | None = None
        self._growth: Growth | None = None
        self._taken = self._ended = False
        self._changed = threading.Condition()

    def take(self) -> bool:
        """Tell whether the caller is the one who does it. It may be queued twice: once for later, then as urgent."""
        with self._changed:
            first = not self._taken
            self._taken = True
            return first

    @property
    def is_waiting(self) -> bool:
        """Tell whether nobody has begun it."""
        with self._changed:
            return not self._taken

    def grows(self, growth: Growth) -> None:
        """Tell that the first bytes are there."""
        with self._changed:
            self._growth = growth
            self._changed.notify_all()

    def end(self, error: RegistryError | None) -> None:
        """Tell that it is over: the blob is in the store, or there is an error."""
        with self._changed:
            self.error = error
            self._ended = True
            self._changed.notify_all()

    def follow(self) -> GrowingExtent | None:
        """Wait for the first bytes and return a reader of all; None if the transfer has ended, well or not."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._growth is not None)
            if self._ended or self._growth is None:
                return None
            growth = self._growth
        try:
            return growth.follow()
        except (GrowthEndedError, RegistryError):
            self.wait()
            return None

    def wait(self) -> None:
        """Wait until it has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended)
