"""The nodes, all at once."""

from __future__ import annotations

from typing import ClassVar

from installer_stub.phases.base import Context, Phase
from installer_stub.phases.cluster_access import join_grant, leave_all, wait_for_api
from installer_stub.phases.join_hosts import join, missing


class JoinNodes(Phase):
    """One grant for all of them; it ends with the phase."""

    title: ClassVar[str] = "Join the nodes"

    def is_needed(self, context: Context) -> bool:
        """Look for nodes that are not members."""
        return bool(missing(context, context.plan.nodes))

    def run(self, context: Context) -> None:
        """Join those that are missing."""
        joining = missing(context, context.plan.nodes)
        if not joining:
            return
        wait_for_api(context)
        with join_grant(context, masters=False) as grant:
            context.each(joining, lambda host, connection: join(context, host, connection, grant))

    def undo(self, context: Context) -> None:
        """Take Kubernetes off them."""
        leave_all(context, context.plan.nodes)
