"""Asking registries whether names are images: every registry for itself, one name after the other. Nothing is recorded.

Yes, no, or could not tell. A registry that gives no answer at all is not asked for its other names again: each try takes as
long as a registry that restarts may take.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from installer_stub.bundle.coverage import Answer
from registry_snapshot.errors import (
    ManifestUnknown,
    NothingForPlatform,
    RegistryError,
    StoreError,
    TransferStopped,
    UpstreamUnauthorized,
    UpstreamUnreachable,
)
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.reference import Reference

_REGISTRIES: Final = 8  # asked side by side


class Looks(Protocol):
    """The part of a Recorder that is used."""

    def look(self, reference: Reference) -> Descriptor:
        """Return what a reference means upstream. Raises RegistryError."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a registry said of a name that it did not give.

    ``refused``: it wants a login, or has none of that name and does not tell. ``silent``: it could not be reached.
    """

    answer: Answer
    words: str
    remedy: str = ""
    refused: bool = False
    silent: bool = False


def ask(source: Looks, references: Iterable[Reference]) -> Mapping[Reference, Said | None]:
    """Return what the registry of each says; None: the image is there. Raises StoreError, TransferStopped."""
    groups: dict[str, list[Reference]] = {}
    for reference in references:
        groups.setdefault(reference.repository.registry, []).append(reference)
    answers: dict[Reference, Said | None] = {}
    stopped = threading.Event()

    def group(names: list[Reference]) -> None:
        silence: Said | None = None
        for name in names:
            if stopped.is_set():
                return
            said = answers[name] = silence or _look(source, name)
            silence = said if said is not None and said.silent else None

    with ThreadPoolExecutor(_REGISTRIES, "ask") as pool:
        try:
            for _ in pool.map(group, groups.values()):
                pass
        except BaseException:
            stopped.set()
            raise
    return answers


def _look(source: Looks, reference: Reference) -> Said | None:
    try:
        source.look(reference)
    except (StoreError, TransferStopped):
        raise
    except ManifestUnknown as error:
        return Said(Answer.ABSENT, error.problem, error.remedy)
    except NothingForPlatform as error:
        return Said(Answer.ELSEWHERE, error.problem, error.remedy)
    except RegistryError as error:
        refused, silent = isinstance(error, UpstreamUnauthorized), isinstance(error, UpstreamUnreachable)
        return Said(Answer.UNKNOWN, error.problem, error.remedy, refused=refused, silent=silent)
    return None
