"""A recording on the disk: which files it consists of, who may write them, and what can be read from them at any time.

::

    DIR/recording.json      for which platforms
    DIR/references.jsonl    what every reference meant when it was first asked for
    DIR/referrers.jsonl     what referred to a digest when that was first asked for
    DIR/pulls.jsonl         the journal: who asked, what travelled
    DIR/lock                held by the process that records
    DIR/blobs/…             where ``airseal record`` keeps the blobs too; a build keeps them in its cache
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from registry_snapshot.errors import RegistryError, StoreError
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.frozen import read_frozen
from registry_snapshot.record.journal import History, read_history
from registry_snapshot.store.bounded import read_file
from registry_snapshot.store.closure import closure
from registry_snapshot.store.disk import DiskBlobStore, write_file
from registry_snapshot.store.durable import make_directory
from registry_snapshot.store.faults import store_error
from registry_snapshot.store.layout_index import OCI_LAYOUT, layout_index
from registry_snapshot.store.ours import open_lock

REFERENCES: Final = "references.jsonl"
REFERRERS: Final = "referrers.jsonl"
PULLS: Final = "pulls.jsonl"
_SETTINGS: Final = "recording.json"
_VERSION: Final = 2  # 1 had lines without a checksum


def is_recording(path: Path) -> bool:
    """Tell whether a recorder has worked in the directory ``path``."""
    return (path / _SETTINGS).is_file()


def write_settings(directory: Path, platforms: tuple[Platform, ...]) -> None:
    """Write down for which platforms images are recorded. Raises StoreError."""
    value = {"version": _VERSION, "platforms": [str(platform) for platform in platforms]}
    write_file(directory / _SETTINGS, json.dumps(value).encode() + b"\n")


class DirectoryLock:
    """The right to record in ``directory``, which is made for its owner alone if it is not there; one process at a time has it.

    Raises RegistryError if another one does, StoreError. The kernel takes it back from a process that was killed.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / "lock"
        try:
            make_directory(directory, 0o700, root=directory)  # layers of private images will be in it
            self._descriptor = open_lock(path)
        except OSError as error:
            raise store_error(error, path) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise RegistryError(f"another process records in {directory}", "wait until it has ended, or name another directory") from None

    def close(self) -> None:
        """Give it up. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(frozen=True, slots=True)
class RecordedState:
    """One image of a recording as it is on the disk. ``problem`` says why it is not whole, and is empty if it is.

    ``parts`` is its closure, empty if there is a problem.
    """

    reference: Reference
    descriptor: Descriptor
    parts: tuple[Descriptor, ...] = ()
    problem: str = ""

    @property
    def total_bytes(self) -> int:
        """The size of its closure, with everything it shares."""
        return sum(part.size for part in self.parts)


class RecordingDirectory:
    """A recording, read only; also while its recorder works, and after that was killed. Raises RegistryError, StoreError.

    ``roots`` and ``blobs`` are what a registry serves of it: the images that are whole.
    """

    def __init__(self, path: Path, platforms: tuple[Platform, ...]) -> None:
        self.path = path
        self.platforms = platforms
        self.blobs = DiskBlobStore(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the recording in ``path``. Raises RegistryError for a directory that is none."""
        settings = path / _SETTINGS
        try:
            value = json.loads(read_file(settings))
            if value["version"] != _VERSION:
                raise StoreError(f"{settings} was written by another version of airseal", "read it with that version")
            return cls(path, tuple(Platform.parse(str(text)) for text in value["platforms"]))
        except OSError as error:
            raise RegistryError(f"{path} is no recording: {settings.name}: {error.strerror}", "name a directory that airseal record made") from None
        except (ValueError, TypeError, KeyError):
            raise StoreError(f"{settings} is damaged", "record again into another directory") from None

    @cached_property
    def images(self) -> tuple[RecordedState, ...]:
        """Every image that was asked for, sorted by reference, whole or not."""
        frozen = read_frozen(self.path / REFERENCES)
        return tuple(self._state(*item) for item in sorted(frozen.items(), key=lambda item: str(item[0])))

    @property
    def roots(self) -> tuple[tuple[Reference, Descriptor], ...]:
        """The images that are whole, and what each stands for."""
        return tuple((image.reference, image.descriptor) for image in self.images if not image.problem)

    @cached_property
    def history(self) -> History:
        """What the journal says."""
        return read_history(self.path / PULLS)

    def write_layout(self) -> None:
        """Make the directory an OCI image layout of the images that are whole, for other tools to read. Raises StoreError."""
        write_file(self.path / "index.json", layout_index(self.roots))
        write_file(self.path / "oci-layout", OCI_LAYOUT)

    def _state(self, reference: Reference, descriptor: Descriptor) -> RecordedState:
        try:
            return RecordedState(reference, descriptor, closure(self.blobs, descriptor, self.platforms))
        except RegistryError as error:
            return RecordedState(reference, descriptor, problem=error.problem)
