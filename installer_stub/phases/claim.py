"""Claim: hosts say whose they are, and masters keep the site's record, so that no installation takes over another's host."""

from __future__ import annotations

import secrets
from typing import Final

from installer_stub.errors import ClusterError
from installer_stub.host.connection import Connection
from installer_stub.host.model import Role
from installer_stub.phases.base import Context
from installer_stub.plan.model import HostPlan
from installer_stub.site.codec import encode_identity, encode_record
from installer_stub.site.model import Identity
from installer_stub.site.store import IDENTITY, RECORD, HostMark, mark_host, read_mark, write_record

MARKER: Final = IDENTITY


def is_claimed(context: Context) -> bool:
    """Tell whether every host says that it belongs to this site, and every master has its record as it is to be."""
    cluster = _cluster(context)
    if not cluster:
        return False

    def claimed(host: HostPlan, connection: Connection) -> bool:
        if connection.read(IDENTITY) != encode_identity(_identity(context, host, cluster)):
            return False
        record = context.record
        return record is None or host.role is not Role.MASTER or connection.read(RECORD) == encode_record(record)

    return all(context.each(context.reachable(), claimed).values())


def claim(context: Context) -> None:
    """Mark every host as ours. Raises ClusterError for a host of another cluster; then none is marked.

    The first master is marked before the others, so a host without a mark beside one with a mark can only be new. Of two
    installers that begin at the same moment one marks it, and the other one stops before it has marked anything.
    """
    marks = context.each(context.plan.hosts, lambda _host, connection: read_mark(connection))
    first = context.plan.masters[0]
    cluster = _cluster(context) or marks[first.address].cluster or secrets.token_hex(8)
    strangers = {address: mark.cluster for address, mark in marks.items() if mark.cluster and mark.cluster != cluster}
    if strangers:
        parts = ", ".join(f"{address} (cluster {other})" for address, other in sorted(strangers.items()))
        raise ClusterError(
            f"{parts}: already part of a cluster that {first.address} does not belong to",
            f"name that cluster's hosts only, or take these out of it: reset --node {','.join(sorted(strangers))}",
        )

    def mark(host: HostPlan, connection: Connection) -> None:
        mark_host(connection, _identity(context, host, cluster), marks.get(host.address, HostMark()))

    mark(first, context.first)
    keep_record(context)
    context.each(tuple(host for host in context.plan.hosts if host != first), mark)


def keep_record(context: Context) -> None:
    """Write the record to every master of this run."""
    record = context.record
    if record is not None:
        context.each(context.reachable(context.plan.masters), lambda _host, connection: write_record(connection, record))


def _cluster(context: Context) -> str:
    """Return the site's id; a build has no record, and keeps the id on its one host."""
    return context.record.cluster if context.record is not None else read_mark(context.first).cluster


def _identity(context: Context, host: HostPlan, cluster: str) -> Identity:
    record = context.record
    titles = tuple(each.title for each in record.site.bundles) if record is not None else (context.plan.bundle.title,)
    return Identity(cluster, titles, host.name, host.role, tuple(master.address for master in context.plan.site_masters))
