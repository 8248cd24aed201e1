"""Transfer: one blob on its way from an upstream into the store, however many wait for it.

It belongs to nobody: a client that goes away cancels nothing, since the recording needs the blob all the same.
"""

from __future__ import annotations

import threading

from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.write_out import WriteOut
from registry_snapshot.store.disk import BlobWriter
from registry_snapshot.store.growth import GrowingExtent, Growth, GrowthEndedError


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
        """Let ``follow`` see the bytes come."""
        with self._changed:
            self._growth = growth
            self._changed.notify_all()

    def end(self, error: RegistryError | None) -> None:
        """Tell that it is over: the blob is in the store, or there is an error."""
        with self._changed:
            growth = self._growth
        if growth is not None:  # first: whoever hears of the end may go on with the file
            if error is not None:
                growth.fail(error)
            growth.close()
        with self._changed:
            self.error = error
            self._ended = True
            self._changed.notify_all()

    def follow(self) -> GrowingExtent | None:
        """Wait for the first bytes and return a reader of all; None once the transfer has ended, well or not."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._growth is not None)
            growth = None if self._ended else self._growth
        if growth is not None:
            try:
                return growth.follow()
            except (GrowthEndedError, RegistryError):
                self.wait()
        return None

    def wait(self) -> None:
        """Wait until it has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended)


class GrowingSink:
    """A BlobSink for ``transfer`` that lets those who follow read what it has taken.

    They see nothing before the upstream's first byte, so that its refusal is still an error they can be told. Of a blob
    whose length nobody knows they see nothing at all: no ``Content-Length`` could be promised.
    """

    def __init__(self, writer: BlobWriter, transfer: Transfer) -> None:
        self._writer = writer
        self._transfer = transfer
        self._growth: Growth | None = None
        self._write_out = WriteOut(writer.fd)

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self._writer.size

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append. Raises StoreError."""
        self._writer.write(data)
        self._write_out.wrote(self._writer.size)
        if self._growth is None and self._transfer.wanted.size > 0:
            self._growth = Growth(self._writer.fd, self._transfer.wanted.size)
            self._growth.grew(self._writer.size)
            self._transfer.grows(self._growth)
        elif self._growth is not None:
            self._growth.grew(self._writer.size)

    def restart(self) -> None:
        """Begin again from the first byte; those who follow hear of it before the bytes go. Raises StoreError."""
        if self._growth is not None:
            self._growth.restart()
        self._writer.restart()

    def commit(self) -> Digest:
        """Make the blob visible. Raises DigestMismatch, StoreError.

        Those who follow have its last byte as soon as it was verified: that it is on the disk matters to the recording,
        not to them, and takes as long as all the rest where disks are slow.
        """
        self._writer.verify()
        if self._growth is not None:
            self._growth.finish()
        return self._writer.commit()
