"""Topology: how many masters and nodes a lab has, written ``1+2``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bundler.errors import UsageError
from installer_stub.host.model import Role

_FORM = re.compile(r"(\d{1,2})\+(\d{1,2})")
MOST = 12  # hosts: each has a gigabyte of memory to itself


@dataclass(frozen=True, slots=True)
class Topology:
    """Numbers of hosts; at least one master."""

    masters: int
    nodes: int

    @classmethod
    def parse(cls, option: str, text: str) -> Topology:
        """Return what ``text`` means; ``option`` is named in the error. Raises UsageError."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise UsageError(f"{option} {text[:40]!r} is no topology", f"write masters+nodes, for example {option} 1+1")
        made = cls(int(found[1]), int(found[2]))
        if not made.masters or made.masters + made.nodes > MOST:
            raise UsageError(f"{option} {text} has {made.masters} masters and {made.nodes} nodes", f"from one master on, at most {MOST} hosts")
        if made.masters % 2 == 0:
            raise UsageError(f"{option} {text}: etcd wants an odd number of masters", f"for example {option} 3+{made.nodes}")
        return made

    @property
    def names(self) -> tuple[str, ...]:
        """``m1``, ``m2`` and so on, then ``n1`` and so on."""
        return tuple([f"m{number + 1}" for number in range(self.masters)] + [f"n{number + 1}" for number in range(self.nodes)])

    def __str__(self) -> str:
        return f"{self.masters}+{self.nodes}"


def role_of(name: str) -> Role:
    """Return the role of the host that a topology calls ``name``."""
    return Role.MASTER if name.startswith("m") else Role.NODE
