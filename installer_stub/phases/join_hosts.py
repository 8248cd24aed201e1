"""How one host joins: the same for masters and nodes, but for what a half-joined master left in etcd."""

from __future__ import annotations

from typing import Final

from installer_stub.distro.base import JoinGrant
from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.errors import ClusterError
from installer_stub.host.command import Command, Secret
from installer_stub.host.connection import Connection
from installer_stub.host.model import Role
from installer_stub.membership.verdict import Membership
from installer_stub.phases.base import Context
from installer_stub.phases.cluster_access import (
    JOIN_TASK,
    authority_hash,
    forget_etcd_member,
    forget_node,
    remove,
    require_own_name,
    write_secret,
)
from installer_stub.phases.member import become_member_script, begin, examine, membership
from installer_stub.phases.task import Task, run_task, settle_task
from installer_stub.plan.model import HostPlan

_CONFIG: Final = "/run/airseal/join.yaml"
# The secret goes when the script ends, also when it is stopped.
_FORGET_CONFIG: Final = f"trap 'rm -f {_CONFIG}' EXIT\ntrap 'exit 143' TERM INT HUP\n"


def is_outstanding(context: Context, host: HostPlan, connection: Connection) -> bool:
    """Tell whether ``host`` is to join, once no join of an earlier run goes on there. Raises HostInDoubt, HostError.

    One with this very configuration is waited for: it has a grant of its own, valid for longer than a join takes, and minutes
    of its work are not thrown away. Another one is stopped. Before a new grant is made: that of masters replaces the
    certificates that an older one still wants to read.
    """
    if membership(context, host) is Membership.MEMBER:
        return False
    waited = settle_task(connection, _task(context, host, authority_hash(context)), said=context.reporter.step)
    return not waited or membership(context, host) is not Membership.MEMBER


def clear(context: Context, host: HostPlan, connection: Connection, found: Membership, machine_id: str) -> None:
    """Remove what a join of this very host that did not end left behind: its etcd member, its files, its Node object.

    Of a host that was never in the cluster only the cluster's side is looked at: nothing on the host is ours to remove.
    Raises HostError where its name is that of another host; then nothing was removed.
    """
    require_own_name(context, host, machine_id)
    if host.role is Role.MASTER:
        forget_etcd_member(context, host)
    if found is Membership.BEGUN:
        script = KUBEADM.leave_script(context.plan.settings)
        connection.run(Command.shell(script, changes="take a half-made join off the host"))
    forget_node(context, host, machine_id)


def join(context: Context, host: HostPlan, connection: Connection, grant: JoinGrant) -> None:
    """Join ``host``, which ``is_outstanding``; afterwards it is a member.

    Raises TaskFailed with the end of what the join said, HostInDoubt, ClusterError.
    """
    found, proof = examine(context, host)
    if found is Membership.MEMBER:
        return
    if found is Membership.INITIALISED:
        raise _another_beginning(host)
    clear(context, host, connection, found, proof.machine_id)
    begin(connection, grant.authority_hash)
    write_secret(connection, _CONFIG, KUBEADM.join_config(context.plan, host, grant))
    try:
        member = become_member_script(grant.authority_hash)
        run_task(connection, _task(context, host, grant.authority_hash, f"set -eu\n{_FORGET_CONFIG}{KUBEADM.join_script(_CONFIG)}{member}"))
    finally:
        remove(connection, _CONFIG)
    context.reporter.step(f"{host.address}: joined as {host.role.value}")


def _task(context: Context, host: HostPlan, authority: str, script: str = "") -> Task:
    """Return the join of ``host`` to the cluster with this CA: the same with any grant, for every run makes another one."""
    nobodys = JoinGrant(Secret(""), authority, Secret("") if host.role is Role.MASTER else None)
    return Task(JOIN_TASK, script, KUBEADM.join_config(context.plan, host, nobodys))


def _another_beginning(host: HostPlan) -> ClusterError:
    return ClusterError(
        f"{host.address} has begun a cluster of its own and not completed it",
        f"name it first (--master {host.address},…) to go on with that cluster, or reset it: reset --node {host.address}",
    )
