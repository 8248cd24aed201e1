"""The other masters, one after the other: each one changes etcd's membership."""

from __future__ import annotations

from typing import ClassVar

from installer_stub.phases import hosts_entry
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.cluster_access import join_grant, speaker, wait_for_api
from installer_stub.phases.join_hosts import join, missing, outstanding


class JoinMasters(Phase):
    """A master joins through a ready one; once it is complete it finds the API at itself."""

    title: ClassVar[str] = "Join the other masters"

    def is_needed(self, context: Context) -> bool:
        """Look for masters that are not members, or that still look for the API elsewhere."""
        others = context.plan.masters[1:]
        if not others:
            return False
        if missing(context, others):
            return True
        at_home = context.each(others, lambda host, connection: hosts_entry.points_to(connection, host.internal))
        return not all(at_home.values())

    def run(self, context: Context) -> None:
        """Join one after the other, each with a grant of its own: certificates lie in the cluster for one join only."""
        others = context.plan.masters[1:]
        wait_for_api(context)
        for host in outstanding(context, others):
            connection = context.connection(host)
            # Killed after an earlier join had already turned it: it would look for the API on itself.
            hosts_entry.point(connection, speaker(context).host.internal)
            with join_grant(context, masters=True) as grant:
                join(context, host, connection, grant)
        context.each(others, lambda host, connection: hosts_entry.point(connection, host.internal))
