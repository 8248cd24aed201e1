"""Bring the cluster files (kubeadm, kubelet, containerd, manifests …) to the hosts of one role."""

from __future__ import annotations

from typing import Final

from installer_stub.host.connection import Connection
from installer_stub.host.model import Role
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.stub_verbs import check_files, fetch_files
from installer_stub.phases.task import Task, run_task
from installer_stub.plan.model import HostPlan

_TASK: Final = "fetch-files"


class InstallFiles(Phase):
    """The stub on the host does the work: it checks every file by its digest and fetches only what is not right."""

    def __init__(self, role: Role) -> None:
        self._role = role

    @property
    def title(self) -> str:  # type: ignore[override]
        """Name the role."""
        return f"Install the cluster files on the {self._role.value}s"

    def is_needed(self, context: Context) -> bool:
        """Ask the stub on every host."""

        def complete(host: HostPlan, connection: Connection) -> bool:
            return connection.run(check_files(context.plan, host), check=False).ok

        return not all(context.each(self._hosts(context), complete).values())

    def run(self, context: Context) -> None:
        """Fetch on all hosts at once. Stopped in the middle, it goes on with the file it was at."""

        def fetch(host: HostPlan, connection: Connection) -> None:
            if connection.run(check_files(context.plan, host), check=False).ok:
                return
            run_task(connection, Task(_TASK, fetch_files(context.plan, host)))
            context.reporter.step(f"{host.address}: cluster files are complete")

        context.each(self._hosts(context), fetch)

    def _hosts(self, context: Context) -> tuple[HostPlan, ...]:
        return tuple(host for host in context.plan.hosts if host.role is self._role)
