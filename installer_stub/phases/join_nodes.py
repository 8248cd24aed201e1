"""The nodes, all at once."""

from __future__ import annotations

from typing import ClassVar

from installer_stub.host.connection import Connection
from installer_stub.phases import hosts_entry
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.cluster_access import join_grant, speaker, wait_for_api
from installer_stub.phases.join_hosts import join, missing, outstanding
from installer_stub.plan.model import HostPlan


class JoinNodes(Phase):
    """One grant for all of them; it ends with the phase. They join through a ready master, whichever that is."""

    title: ClassVar[str] = "Join the nodes"

    def is_needed(self, context: Context) -> bool:
        """Look for nodes that are not members."""
        return bool(missing(context, context.plan.nodes))

    def run(self, context: Context) -> None:
        """Join those that are missing."""
        joining = outstanding(context, context.plan.nodes)
        if not joining:
            return
        wait_for_api(context)
        through = speaker(context).host.internal

        def one(host: HostPlan, connection: Connection) -> None:
            hosts_entry.point(connection, through)
            join(context, host, connection, grant)

        with join_grant(context, masters=False) as grant:
            context.each(joining, one)
