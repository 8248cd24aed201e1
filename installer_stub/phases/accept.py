"""Acceptance: every container runs an image of the bundle, every node is ready, every master has its control plane."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import ClassVar, Final

from installer_stub.distro.containerd import IMAGES
from installer_stub.errors import NotAccepted
from installer_stub.host.command import Command
from installer_stub.kube.acceptance import accept
from installer_stub.kube.kubectl import Object
from installer_stub.kube.owners import KINDS
from installer_stub.kube.pods import ready_condition
from installer_stub.kube.scope import Ownership
from installer_stub.kube.workloads import unready
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.cluster_access import kubectl
from installer_stub.plan.model import Plan

CONTROL_PLANE: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def missing(plan: Plan, nodes: Sequence[Object], pods: Sequence[Object], left_out: Container[str] = ()) -> list[str]:
    """Return what the plan has and the cluster has not: nodes, and the control plane's static pods. ``left_out`` are addresses.

    Nodes that the plan has not, the site's own or those of hosts that are off, are not its business.
    """
    absent = {host.name for host in plan.hosts if host.address in left_out}
    wanted = {host.name for host in plan.hosts} - absent
    found = [f"node {each.name}: {each.reason}" for each in unready(nodes) if each.name in wanted]
    names = {node["metadata"]["name"] for node in nodes} | absent
    found += [f"node {host.name} ({host.address}) is not in the cluster" for host in plan.hosts if host.name not in names]
    ready = {
        pod["metadata"]["name"]
        for pod in pods
        if pod["metadata"].get("namespace") == "kube-system" and (ready_condition(pod) or {}).get("status") == "True"
    }
    static = [f"{part}-{host.name}" for host in plan.masters for part in CONTROL_PLANE]
    return found + [f"pod kube-system/{name} does not run" for name in static if name not in ready]


# containerd unpacks layers without syncing them: after a power cut an image that counts as present may hold empty files.
# Of one file system, not of all: on a dead NFS mount sync would never end. coreutils before 8.24 know no -f.
# Which one it is, is asked: a sync -f that fails has met a disk that does, and sync tells nobody of that.
_SYNC: Final = 'case $(sync --help 2>/dev/null) in *--file-system*) sync -f "$1" ;; *) sync ;; esac'
_SYNC_TIMEOUT: Final = 600.0  # seconds; some gigabytes on an old disk


def on_disk(context: Context) -> None:
    """Return once the images of every host are on its disk. Raises CommandFailed, HostsFailed."""
    sync = Command.shell(_SYNC, context.plan.settings.directory("containerd", IMAGES))
    context.each(context.plan.hosts, lambda _host, connection: connection.run(sync, timeout=_SYNC_TIMEOUT))


class Accept(Phase):
    """Looks only, so it runs every time; and says yes only to what a power cut cannot take away."""

    title: ClassVar[str] = "Compare what runs with what was sealed"
    looks: ClassVar[bool] = True

    def run(self, context: Context) -> None:
        """Raises NotAccepted, which names every difference."""
        cluster = kubectl(context)
        nodes, objects = cluster.items("nodes"), cluster.items(KINDS, "--all-namespaces")
        gone = missing(context.plan, nodes, objects, context.left_out)
        if gone:
            lines = "\n".join(f"  - {each}" for each in gone)
            raise NotAccepted(f"the cluster is not what was planned:\n{lines}", "look at kubelet on that host: journalctl -u kubelet")
        if context.lock is None:
            raise NotAccepted("there is no list of sealed images to compare with", "a recording does not run this phase")
        figures = accept(objects, context.lock, Ownership.of(context.lock))
        on_disk(context)
        context.notes.append(
            f"{figures.containers} containers in {figures.pods} pods run {figures.images} images, every one from the bundle",
        )
        context.notes += [f"not the bundle's: {each}" for each in figures.others]
