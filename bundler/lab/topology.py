"""Topology: the hosts that a lab has, written ``1+2``, or taken from a Clusterfile with the labels and taints of its hosts."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bundler.errors import UsageError
from installer_stub.clusterfile.read import Clusterfile, read
from installer_stub.errors import UsageError as ClusterfileError
from installer_stub.host.model import Host, Role
from installer_stub.options import HostWishes
from installer_stub.site.model import SiteHost

_FORM: Final = re.compile(r"(\d{1,2})\+(\d{1,2})")
MOST: Final = 12  # hosts: each has a gigabyte of memory to itself
_NO_WISHES: Final = HostWishes()


@dataclass(frozen=True, slots=True)
class Topology:
    """Numbers of hosts, at least one master; ``wishes`` by the names that the hosts have here, labels and taints alone."""

    masters: int
    nodes: int
    wishes: tuple[tuple[str, HostWishes], ...] = ()

    @classmethod
    def parse(cls, option: str, text: str) -> Topology:
        """Return what ``text`` means, masters+nodes or the path of a Clusterfile; ``option`` is named in the error. Raises UsageError."""
        found = _FORM.fullmatch(text)
        if found is not None:
            return _checked(cls(int(found[1]), int(found[2])), option, text)
        if not Path(text).is_file():
            hint = f"write masters+nodes, for example {option} 1+1, or name a Clusterfile"
            raise UsageError(f"{option} {text[:200]!r} is no topology, and no file", hint)
        try:
            site = read(Path(text), user="root", port=22)
        except ClusterfileError as error:
            raise UsageError(f"{option}: {error.problem}", error.remedy) from None
        return _checked(cls.of(site), option, text)

    @classmethod
    def of(cls, site: Clusterfile) -> Topology:
        """Return as many hosts of each role as ``site`` has, with their labels and taints. The rest of it is the site's own."""
        masters, nodes = ([host for host in site.hosts if host.role is role] for role in (Role.MASTER, Role.NODE))
        bare = cls(len(masters), len(nodes))
        said = dict(site.wishes)
        named = zip(bare.names, (replace(said.get(host.address, _NO_WISHES), env=None) for host in (*masters, *nodes)), strict=True)
        return replace(bare, wishes=tuple((name, wishes) for name, wishes in named if wishes.labels or wishes.taints))

    @property
    def names(self) -> tuple[str, ...]:
        """``m1``, ``m2`` and so on, then ``n1`` and so on."""
        return tuple([f"m{number + 1}" for number in range(self.masters)] + [f"n{number + 1}" for number in range(self.nodes)])

    def wishes_of(self, name: str) -> HostWishes:
        """Return what the host of that name is wanted to have."""
        return dict(self.wishes).get(name, _NO_WISHES)

    def as_site(self, name: str, host: Host) -> SiteHost:
        """Return ``host``, which is called ``name`` here, as a record of a site would have it."""
        wishes = self.wishes_of(name)
        return SiteHost(name, host.role, host.address, host.internal or host.address, labels=wishes.labels or (), taints=wishes.taints or ())

    def __str__(self) -> str:
        """Return all of it: two that are written alike are the same."""
        parts = [f"{name}: {', '.join((*(f'{key}={value}' for key, value in each.labels or ()), *(each.taints or ())))}" for name, each in self.wishes]
        return f"{self.masters}+{self.nodes}" + (f" ({'; '.join(parts)})" if parts else "")


ONE_HOST: Final = Topology(1, 0)


def role_of(name: str) -> Role:
    """Return the role of the host that a topology calls ``name``."""
    return Role.MASTER if name.startswith("m") else Role.NODE


def _checked(topology: Topology, option: str, text: str) -> Topology:
    if not topology.masters or topology.masters + topology.nodes > MOST:
        raise UsageError(f"{option} {text} has {topology.masters} masters and {topology.nodes} nodes", f"from one master on, at most {MOST} hosts")
    if topology.masters % 2 == 0:
        raise UsageError(f"{option} {text}: etcd wants an odd number of masters", f"for example {option} 3+{topology.nodes}")
    return topology
