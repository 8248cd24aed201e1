"""The host's own durable word: how far it came on its way into a cluster, written before and after each step."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from installer_stub.host.flush import FLUSH
from installer_stub.plan.model import STATE

PATH: Final = f"{STATE}/membership.json"
_VERSION: Final = 1
_LIMIT: Final = 4096  # bytes; a record has some 150


class Stage(StrEnum):
    """How far. ``LEAVING``: this host's undoing was begun, and has not ended."""

    BEGUN = "begun"  # init or join was about to start, and has never ended
    INITIALISED = "initialised"  # of the master that began the cluster: kubeadm init has ended, what comes after it has not
    MEMBER = "member"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class Record:
    """``authority`` is the cluster CA's public key, ``sha256:…``; empty where kubeadm is still to make it."""

    stage: Stage
    authority: str = ""


def render(record: Record) -> bytes:
    """Return the file's content, one line."""
    value = {"version": _VERSION, "stage": record.stage.value, "authority": record.authority}
    return (json.dumps(value) + "\n").encode()


def parse(data: bytes) -> Record | None:
    """Return the record, or None for what is none: torn, empty, of a later version."""
    if len(data) > _LIMIT:
        return None
    try:
        value = json.loads(data)
        if value["version"] != _VERSION:
            return None
        return Record(Stage(value["stage"]), str(value["authority"]))
    except (ValueError, KeyError, TypeError):
        return None


def note_script(record: Record) -> str:
    """Return shell text that makes ``record`` the host's: whole and on the disk before the next line runs."""
    line = render(record).decode().rstrip("\n")
    return (
        f"{FLUSH}mkdir -p {STATE}; printf '%s\\n' '{line}' > {PATH}.new\n"
        f"flush {PATH}.new; mv -f {PATH}.new {PATH}; flush {STATE}\n"
    )
