"""Hosts as the operator names them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a host is for. The words are those of the command line."""

    MASTER = "master"
    NODE = "node"


@dataclass(frozen=True, slots=True, order=True)
class Host:
    """One host: address as given by the operator, and how to log in. Holds no secret.

    ``internal`` is how other hosts reach it, where that is another address.
    """

    address: str
    role: Role
    port: int = 22
    user: str = "root"
    internal: str = ""

    def __str__(self) -> str:
        return self.address
