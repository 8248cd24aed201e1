"""Claim: a host says whose it is, so that no installation ever takes over another one's host."""

from __future__ import annotations

import json
import secrets
from typing import Final

from installer_stub.errors import ClusterError
from installer_stub.host.connection import Connection, write
from installer_stub.phases.base import Context
from installer_stub.plan import STATE, HostPlan

MARKER: Final = f"{STATE}/cluster.json"


def cluster_of(connection: Connection) -> str:
    """Return the id of the cluster that the host belongs to, or an empty text. A torn marker is none."""
    try:
        value = json.loads(connection.read(MARKER) or b"")
    except ValueError:
        return ""
    return str(value.get("cluster", "")) if isinstance(value, dict) else ""


def is_claimed(context: Context) -> bool:
    """Tell whether every host belongs to the first master's cluster and to this bundle."""
    wanted = _marker(cluster_of(context.first), context)
    return all(connection.read(MARKER) == wanted for connection in context.connections.values())


def claim(context: Context) -> None:
    """Mark every host as ours. Raises ClusterError for a host of another cluster; then none is marked.

    The first master is marked before the others, so a host without a marker beside one with a marker can only be new.
    """
    found = context.each(context.plan.hosts, lambda _host, connection: cluster_of(connection))
    first = context.plan.masters[0].address
    cluster = found[first]
    strangers = {address: other for address, other in found.items() if other and other != cluster}
    if strangers:
        names = ", ".join(sorted(strangers))
        raise ClusterError(
            f"{names}: already part of a cluster that {first} does not belong to",
            f"name one of that cluster's masters first, or take the hosts out of it: reset --node {','.join(sorted(strangers))}",
        )
    marker = _marker(cluster or secrets.token_hex(8), context)
    write(context.first, MARKER, marker, mode=0o600)

    def mark(_host: HostPlan, connection: Connection) -> None:
        write(connection, MARKER, marker, mode=0o600)

    context.each(context.plan.hosts, mark)


def _marker(cluster: str, context: Context) -> bytes:
    return (json.dumps({"cluster": cluster, "bundle": context.plan.bundle.title}) + "\n").encode()
