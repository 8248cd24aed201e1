"""Followers: the hosts that stay when one has left, and what they have of each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from installer_stub.host.connection import Connection
from installer_stub.host.model import Host
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
    def of(cls, found: Found, record: SiteRecord, gone: Collection[str]) -> Followers:
        """Return the hosts of ``record``; where only nodes left, its masters alone have something to follow."""
        before = found.record.site.masters if found.record is not None else ()
        all_follow = any(host.name in gone for host in before)
        following = record.site.hosts if all_follow else record.site.masters
        there = {host: connection for host in following if (connection := found.connected(host)) is not None}
        silent = tuple(host for host in following if host not in there)
        return cls(record, tuple(host.reach for host in there), {host.address: each for host, each in there.items()}, silent)
