"""How one host joins: the same for masters and nodes, but for what a half-joined master left in etcd."""

from __future__ import annotations

from typing import Final

from installer_stub.distro.base import JoinGrant
from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.errors import ClusterError
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.host.model import Role
from installer_stub.membership.verdict import Membership
from installer_stub.phases.base import Context
from installer_stub.phases.cluster_access import (
    JOIN_TASK,
    forget_etcd_member,
    forget_node,
    remove,
    require_own_name,
    write_secret,
)
from installer_stub.phases.member import become_member_script, begin, look, membership
from installer_stub.phases.task import Task, run_task, stop_task
from installer_stub.plan.model import HostPlan

_CONFIG: Final = "/run/airseal/join.yaml"
# The secret goes when the script ends, also when it is stopped.
_FORGET_CONFIG: Final = f"trap 'rm -f {_CONFIG}' EXIT\ntrap 'exit 143' TERM INT HUP\n"


def missing(context: Context, hosts: tuple[HostPlan, ...]) -> tuple[HostPlan, ...]:
    """Return those of ``hosts`` that take part and are not, or not completely, in the cluster. Raises HostInDoubt."""
    members = context.each(hosts, lambda host, _connection: membership(context, host)) if hosts else {}
    return tuple(host for host in hosts if members.get(host.address, Membership.MEMBER) is not Membership.MEMBER)


def clear(context: Context, host: HostPlan, connection: Connection, found: Membership) -> None:
    """Remove what a join of this very host that did not end left behind: its etcd member, its files, its Node object.

    Of a host that was never in the cluster only the cluster's side is looked at: nothing on the host is ours to remove.
    Raises HostError where its name is that of another host; then nothing was removed.
    """
    machine_id = look(connection).machine_id
    require_own_name(context, host, machine_id)
    if host.role is Role.MASTER:
        forget_etcd_member(context, host)
    if found is Membership.BEGUN:
        script = KUBEADM.reset_script(keep_etcd_membership=True)
        connection.run(Command.shell(script, changes="take a half-made join off the host"))
    forget_node(context, host, machine_id)


def join(context: Context, host: HostPlan, connection: Connection, grant: JoinGrant) -> None:
    """Join ``host``; afterwards it is a member. Raises TaskFailed with the end of what the join said, HostInDoubt, ClusterError."""
    stop_task(connection, JOIN_TASK)
    found = membership(context, host)
    if found is Membership.MEMBER:
        return  # what an earlier run had begun has ended well meanwhile
    if found is Membership.INITIALISED:
        raise _another_beginning(host)
    clear(context, host, connection, found)
    begin(connection, grant.authority_hash)
    write_secret(connection, _CONFIG, KUBEADM.join_config(context.plan, host, grant))
    try:
        member = become_member_script(grant.authority_hash)
        run_task(connection, Task(JOIN_TASK, f"set -eu\n{_FORGET_CONFIG}{KUBEADM.join_script(_CONFIG)}{member}"))
    finally:
        remove(connection, _CONFIG)
    context.reporter.step(f"{host.address}: joined as {host.role.value}")


def _another_beginning(host: HostPlan) -> ClusterError:
    return ClusterError(
        f"{host.address} has begun a cluster of its own and not completed it",
        f"name it first (--master {host.address},…) to go on with that cluster, or reset it: reset --node {host.address}",
    )
