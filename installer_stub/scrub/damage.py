"""What is damaged in an artifact on this disk: written down beside it, for the site registry, the next installation and ``status``.

::

    STATE/bundles/shop-1.4.0.run.damage   is there as long as the artifact beside it is damaged, and only then
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from installer_stub.bundle.names import BLOBS, digest_of_blob
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.bounded import read_file

SUFFIX: Final = ".damage"
MOST: Final = 1 << 20  # bytes of one such file
_FORMAT: Final = "airseal.damage/1"


@dataclass(frozen=True, slots=True)
class Damage:
    """``stamp`` is the file that was read.

    ``entries`` are the names of those that are not what they were, of ``count`` in all; where the artifact cannot even be
    opened there are none, and ``problem`` says why.
    """

    stamp: str
    count: int = 0
    entries: tuple[str, ...] = ()
    problem: str = ""

    @property
    def digests(self) -> frozenset[Digest]:
        """The blobs among them."""
        return frozenset(digest_of_blob(name) for name in self.entries if name.startswith(BLOBS))

    def __str__(self) -> str:
        return self.problem or f"{len(self.entries)} of its {self.count} parts are not what was copied there, or cannot be read"

    def is_same(self, other: Damage | None) -> bool:
        """Tell whether nothing has come to it since ``other``."""
        return other is not None and (self.stamp, self.entries, self.problem) == (other.stamp, other.entries, other.problem)

    def encode(self) -> bytes:
        """Return the file's bytes."""
        value = {"format": _FORMAT, "stamp": self.stamp, "count": self.count, "entries": list(self.entries), "problem": self.problem}
        return f"{json.dumps({**value, 'sha256': _checksum(value)}, indent=1)}\n".encode()

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Return what ``encode`` wrote. Raises ValueError: it lies on the disk that it tells of."""
        try:
            value: Any = json.loads(raw)
            checksum = value.pop("sha256")
            if value["format"] != _FORMAT or checksum != _checksum(value):
                raise ValueError("its checksum or its format is another one")
            entries = tuple(str(each) for each in value["entries"])
            found = cls(str(value["stamp"]), int(value["count"]), entries, str(value["problem"]))
            _ = found.digests  # or it raises
        except (LookupError, TypeError, AttributeError, OverflowError, RecursionError, RegistryError) as error:
            raise ValueError(f"it is no record of damage: {error!r}") from None
        return found


    @classmethod
    def told(cls, raw: bytes, stamp: str) -> Self | None:
        """Return what a record tells of the file ``stamp``; None: it is of another file. A torn record was of some damage."""
        try:
            found = cls.decode(raw)
        except ValueError:
            return cls(stamp, problem="what is damaged in it cannot be read any more")
        return found if found.stamp == stamp else None


def _checksum(value: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def stamp_of(status: os.stat_result) -> str:
    """Return what names one file: as ``stat -c '%s %.9Y %i'`` prints it. Times of change are left out: a chmod mends nothing."""
    seconds, rest = divmod(status.st_mtime_ns, 10**9)
    return f"{status.st_size} {seconds}.{rest:09d} {status.st_ino}"


def path_of(artifact: Path) -> Path:
    """Return where the damage of ``artifact`` is written down."""
    return artifact.with_name(f"{artifact.name}{SUFFIX}")


def known_damage(artifact: Path) -> Damage | None:
    """Return what is known of this very file; None: nothing, or only of one that lay there before.

    Raises ValueError for what cannot be read: something was wrong, and nobody can say any more what.
    """
    try:
        raw = read_file(path_of(artifact), MOST)
        stamp = stamp_of(artifact.stat())
    except FileNotFoundError:
        return None
    found = Damage.decode(raw)
    return found if found.stamp == stamp else None
