"""Journal: who asked for which image, in the order it happened. Kept on disk line by line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from registry_snapshot.errors import DigestInvalid, ReferenceInvalid
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.line_file import LineFile

LISTED = "LISTED"  # the method of an image that nobody pulled: it was named, and ``client`` says by what


@dataclass(frozen=True, slots=True)
class Pull:
    """One request for an image: ``time`` in seconds since 1970, ``bytes`` of manifest fetched for it (0: already here).

    ``client`` is an IP address, ``method`` HEAD, GET or LISTED, ``upstream`` who really answered.
    """

    time: float
    client: str
    reference: Reference
    digest: Digest
    method: str
    upstream: str
    bytes: int

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
            )
        except (KeyError, TypeError, DigestInvalid, ReferenceInvalid) as error:
            raise ValueError(str(error)) from None

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
        }


class Journal:
    """Pulls in a file of JSON lines. Safe for threads. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self._file = LineFile(path)
        self._pulls: list[Pull] = []
        for number, value in enumerate(self._file.load(), 1):
            try:
                self._pulls.append(Pull.from_json(value))
            except ValueError:
                raise self._file.damaged(number) from None

    def append(self, pull: Pull) -> None:
        """Write down one pull; it is on the disk when this returns. Raises StoreError."""
        self._file.append(pull.to_json())
        self._pulls.append(pull)

    def __iter__(self) -> Iterator[Pull]:
        return iter(tuple(self._pulls))

    def __len__(self) -> int:
        return len(self._pulls)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
