"""Bring the cluster files (kubeadm, kubelet, containerd, manifests …) to the hosts of one role."""

from __future__ import annotations

from typing import Final

from installer_stub.changes.things import Kind, Thing
from installer_stub.host.connection import Connection
from installer_stub.host.model import Role
from installer_stub.phases.base import Artifact, Context, HostPhase
from installer_stub.phases.serve_images import ServeImages
from installer_stub.phases.stub_verbs import check_files, fetch_files
from installer_stub.phases.task import Task, run_task
from installer_stub.plan.model import LINKS, HostPlan, Plan

_TASK: Final = "fetch-files"


class InstallFiles(HostPhase):
    """The stub on the host does the work: it checks every file by its digest and fetches only what is not right."""

    after = (ServeImages,)  # nodes fetch from there; masters have their own artifact, and come before it

    def __init__(self, role: Role) -> None:
        self._role = role

    @property
    def title(self) -> str:  # type: ignore[override]
        """Name the role."""
        return f"Install the cluster files on the {self._role.value}s"

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """Those of the role."""
        return tuple(host for host in plan.hosts if host.role is self._role)

    def moves(self, plan: Plan, host: HostPlan, artifact: Artifact) -> int:
        """What the bundle's files are in all."""
        del host, artifact
        return plan.bundle.files_size

    def things(self, plan: Plan, host: HostPlan) -> tuple[Thing, ...]:
        """Names in directories of others, for files in a directory of ours."""
        del plan, host
        return tuple(Thing(Kind.LINK, f"{directory}/*") for _, directory in LINKS)

    def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
        """Ask the stub on the host."""
        return connection.run(check_files(context.plan, host), check=False).ok

    def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
        """Fetch. Stopped in the middle, it goes on with the file it was at."""
        run_task(connection, Task(_TASK, fetch_files(context.plan, host)))
        context.reporter.step(f"{host.address}: cluster files are complete")
