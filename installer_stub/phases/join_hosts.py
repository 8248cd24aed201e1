"""How one host joins: the same for masters and nodes, but for what a half-joined master left in etcd."""

from __future__ import annotations

from typing import Final

from installer_stub.distro.base import JoinGrant
from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.host.model import Role
from installer_stub.phases.base import Context
from installer_stub.phases.cluster_access import (
    JOIN_TASK,
    forget_etcd_member,
    forget_node,
    remove,
    write_secret,
)
from installer_stub.phases.member import become_member_script, is_member, leave_script
from installer_stub.phases.task import Task, run_task, stop_task
from installer_stub.plan import HostPlan

_CONFIG: Final = "/run/airseal/join.yaml"
# The secret goes when the script ends, also when it is stopped.
_FORGET_CONFIG: Final = f"trap 'rm -f {_CONFIG}' EXIT\ntrap 'exit 143' TERM INT HUP\n"


def missing(context: Context, hosts: tuple[HostPlan, ...]) -> tuple[HostPlan, ...]:
    """Return those of ``hosts`` that are not, or not completely, in the cluster."""
    members = context.each(hosts, lambda _host, connection: is_member(connection)) if hosts else {}
    return tuple(host for host in hosts if not members[host.address])


def clear(context: Context, host: HostPlan, connection: Connection) -> None:
    """Remove every trace of a join that did not end: its process, its etcd member, its files, its Node object."""
    stop_task(connection, JOIN_TASK)
    if host.role is Role.MASTER:
        forget_etcd_member(context, host)
    script = leave_script() + KUBEADM.reset_script(keep_etcd_membership=True)
    connection.run(Command.shell(script, changes="take a half-made join off the host"))
    forget_node(context, host)


def join(context: Context, host: HostPlan, connection: Connection, grant: JoinGrant) -> None:
    """Join ``host``; afterwards it is a member. Raises TaskFailed with the end of what the join said."""
    clear(context, host, connection)
    write_secret(connection, _CONFIG, KUBEADM.join_config(context.plan, host, grant))
    try:
        script = f"set -eu\n{_FORGET_CONFIG}{KUBEADM.join_script(_CONFIG)}{become_member_script()}"
        run_task(connection, Task(JOIN_TASK, script))
    finally:
        remove(connection, _CONFIG)
    context.reporter.step(f"{host.address}: joined as {host.role.value}")
