"""Followers: the hosts that stay when one has left, and what they have of each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from installer_stub.host.connection import Connection
from installer_stub.host.model import Host, Role
from installer_stub.site.find import Found
from installer_stub.site.from_record import FromRecord
from installer_stub.site.model import SiteHost, SiteRecord


@dataclass(frozen=True, slots=True)
class Followers(FromRecord):
    """``hosts`` are those of the record that answer, in its order; ``connections`` by their addresses."""

    hosts: tuple[Host, ...]
    connections: Mapping[str, Connection]
    silent: tuple[SiteHost, ...]

    @classmethod
    def of(cls, found: Found, record: SiteRecord) -> Followers:
        """Return the masters, which keep the record, and the hosts that have not heard of the present masters yet."""
        return cls._of(found, record, tuple(host for host in record.site.hosts if host.role is Role.MASTER or host.name in record.pending))

    @classmethod
    def everybody(cls, found: Found, record: SiteRecord) -> Followers:
        """Return all hosts of the site."""
        return cls._of(found, record, record.site.hosts)

    @classmethod
    def _of(cls, found: Found, record: SiteRecord, following: tuple[SiteHost, ...]) -> Followers:
        there = {host: connection for host in following if (connection := found.connected(host)) is not None}
        silent = tuple(host for host in following if host not in there)
        return cls(record, tuple(host.reach for host in there), {host.address: each for host, each in there.items()}, silent)
