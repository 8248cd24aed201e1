"""The nodes, all at once."""

from __future__ import annotations

from typing import ClassVar

from installer_stub.changes.things import Thing
from installer_stub.host.connection import Connection
from installer_stub.phases import hosts_entry
from installer_stub.phases.base import Context, HostPhase, Phase
from installer_stub.phases.cluster_access import speaker, wait_for_api
from installer_stub.phases.join_hosts import is_outstanding, join
from installer_stub.phases.join_masters import JoinMasters
from installer_stub.phases.keep_record import KeepRecord
from installer_stub.phases.member import is_settled
from installer_stub.phases.point_proxy import PointProxy
from installer_stub.phases.start_first_master import StartFirstMaster
from installer_stub.plan.model import HostPlan, Plan


class JoinNodes(HostPhase):
    """One grant for all of them. They join through a ready master, whichever that is."""

    title: ClassVar[str] = "Join the nodes"
    after = (StartFirstMaster, PointProxy, KeepRecord, JoinMasters)  # while etcd's members change, the API comes and goes
    acts_on_cluster: ClassVar[bool] = True
    seconds: ClassVar[float] = 10.0

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """Nodes."""
        return plan.nodes

    def things(self, plan: Plan, host: HostPlan) -> tuple[Thing, ...]:
        """Where the host finds the API meanwhile."""
        del plan, host
        return hosts_entry.THINGS

    def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
        """Look whether it is a member."""
        del connection
        return is_settled(context, host)

    def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
        """Join it."""
        wait_for_api(context)
        if not is_outstanding(context, host, connection):
            return  # its record was lost and is there again, or an earlier run's join has ended well
        grant = context.grant.lend(context)
        hosts_entry.point(connection, speaker(context).host.internal)
        join(context, host, connection, grant)


class EndJoining(Phase):
    """The nodes' grant is taken back as soon as nobody needs it any more."""

    title: ClassVar[str] = "Let no more hosts join"
    after = (JoinNodes,)
    acts_on_cluster: ClassVar[bool] = True

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """The cluster, through a master."""
        return plan.masters[:1]

    def is_needed(self, context: Context) -> bool:
        """Look whether this run has made one: one of an earlier run ends by itself."""
        return context.grant.is_lent

    def run(self, context: Context) -> None:
        """Take it back."""
        context.grant.take_back()
