"""Bring the control plane's images to the masters that join later, while the first one starts.

Joins change etcd's membership, so they go one by one; what can be done before, everybody does at the same time.
"""

from __future__ import annotations

from typing import ClassVar, Final

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.host.connection import Connection
from installer_stub.phases.base import Context, HostPhase
from installer_stub.phases.member import is_member
from installer_stub.phases.task import Task, run_task
from installer_stub.plan.model import HostPlan, Plan

_TASK: Final = "pull-images"


class PullImages(HostPhase):
    """For hosts that are no members yet: what a running host needs, its kubelet looks after."""

    title: ClassVar[str] = "Pull the other masters' images"
    seconds: ClassVar[float] = 10.0

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """All masters but the one that the cluster begins with: that one pulls as part of its beginning."""
        return plan.masters[1:]

    def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
        """Look whether it is a member by its own evidence. Raises HostInDoubt for what could not be told."""
        del context, host
        return is_member(connection)

    def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
        """Pull. What is there already is not pulled again."""
        del host
        run_task(connection, Task(_TASK, f"set -eu\n{KUBEADM.pull_script(context.plan)}"))
