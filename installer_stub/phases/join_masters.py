"""The other masters, one after the other: each one changes etcd's membership."""

from __future__ import annotations

from typing import ClassVar

from installer_stub.changes.things import Thing
from installer_stub.host.connection import Connection
from installer_stub.phases import hosts_entry
from installer_stub.phases.base import Context, HostPhase
from installer_stub.phases.cluster_access import join_grant, speaker, wait_for_api
from installer_stub.phases.join_hosts import is_outstanding, join
from installer_stub.phases.keep_record import KeepRecord
from installer_stub.phases.member import is_settled
from installer_stub.phases.point_proxy import PointProxy
from installer_stub.phases.start_first_master import StartFirstMaster
from installer_stub.plan.model import HostPlan, Plan


class JoinMasters(HostPhase):
    """A master joins through a ready one; once it is complete it finds the API at itself."""

    title: ClassVar[str] = "Join the other masters"
    after = (StartFirstMaster, PointProxy, KeepRecord)  # until the first master is complete no grant stays: it takes kubeadm's token back
    one_by_one: ClassVar[bool] = True
    acts_on_cluster: ClassVar[bool] = True
    seconds: ClassVar[float] = 15.0

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """All masters but the one that the cluster begins with."""
        return plan.masters[1:]

    def things(self, plan: Plan, host: HostPlan) -> tuple[Thing, ...]:
        """Where the host finds the API meanwhile."""
        del plan, host
        return hosts_entry.THINGS

    def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
        """Look whether it is a member, and finds the API at itself."""
        return is_settled(context, host) and hosts_entry.points_to(connection, host.internal)

    def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
        """Join it with a grant of its own: certificates lie in the cluster for one join only."""
        wait_for_api(context)
        if is_outstanding(context, host, connection):
            # Killed after an earlier join had already turned it: it would look for the API on itself.
            hosts_entry.point(connection, speaker(context).host.internal)
            with join_grant(context, masters=True) as grant:
                join(context, host, connection, grant)
        hosts_entry.point(connection, host.internal)
