"""Bring the cluster files (kubeadm, kubelet, containerd, manifests …) to the hosts of one role."""

from __future__ import annotations

from typing import Final

from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.host.model import Role
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.stub_verbs import LINKS, check_files, fetch_files
from installer_stub.phases.task import Task, run_task, stop_task
from installer_stub.plan import OPT, HostPlan

_TASK: Final = "fetch-files"
# Links that point into our directory are ours, whoever made them.
_UNLINK: Final = """\
opt=$1; shift
for directory in "$@"; do
  for link in "$directory"/*; do
    case $(readlink -- "$link" || true) in "$opt"/*) rm -f -- "$link" ;; esac
  done
done
"""


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

    def undo(self, context: Context) -> None:
        """Remove the links; the files go with the directory they stand in."""
        directories = (directory for _, directory in LINKS)
        remove = Command.shell(_UNLINK, OPT, *directories, changes="remove links to cluster files")

        def unlink(_host: HostPlan, connection: Connection) -> None:
            stop_task(connection, _TASK)
            connection.run(remove)

        context.each(context.reachable(self._hosts(context)), unlink)

    def _hosts(self, context: Context) -> tuple[HostPlan, ...]:
        return tuple(host for host in context.plan.hosts if host.role is self._role)
