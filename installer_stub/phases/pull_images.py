"""Bring images to the hosts that join later, while the first master starts.

Joins change etcd's membership, so they go one by one; what can be done before, everybody does at the same time.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from installer_stub.bundle.model import ImageLock, LockedImage
from installer_stub.bundle.reasons import Recorded, is_attached
from installer_stub.distro import containerd
from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.host.connection import Connection
from installer_stub.host.model import Role
from installer_stub.membership.verdict import Membership
from installer_stub.phases.base import Context, HostPhase
from installer_stub.phases.member import look, verdict
from installer_stub.phases.task import Task, run_task
from installer_stub.plan.model import LOCAL_API, HostPlan, Plan
from registry_snapshot.oci.reference import Reference

_TASK: Final = "pull-images"
_log = logging.getLogger("airseal.pull")
_MOST: Final = 256 << 20  # bytes, as stored: a join waits for them. Two seconds of a gigabit, twenty where ten hosts share one


class PullImages(HostPhase):
    """For hosts that are no members yet: what a running host needs, its kubelet looks after."""

    title: ClassVar[str] = "Pull images to the hosts that join"
    seconds: ClassVar[float] = 10.0

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """All hosts but the master that the cluster begins with: that one pulls as part of its beginning."""
        return tuple(host for host in plan.hosts if host != plan.masters[0])

    def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
        """Look whether nothing lives there by the host's own evidence: who is a member, or in doubt, is left as it is. Raises HostInDoubt for what could not be told."""
        del context, host
        return verdict(look(connection)) not in {Membership.ABSENT, Membership.BEGUN}

    def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
        """Pull. What is there already is not pulled again."""
        balancer = context.plan.bundle.balancer if host.role is Role.NODE and context.plan.node_api == LOCAL_API else ""
        script = KUBEADM.pull_script(context.plan, host, of_every_host(context.lock, balancer))

        def said(line: str) -> None:
            _log.info(line)
            if line.endswith(containerd.MISSED):
                context.reporter.step(line)

        run_task(connection, Task(_TASK, f"set -eu\n{script}"), said=said)


def of_every_host(lock: ImageLock | None, balancer: str = "", *, most: int = _MOST) -> Mapping[str, Sequence[str]]:
    """Return the images that every host runs, by digest with their names: its balancer's, and those of DaemonSets, the smallest first, ``most`` bytes in all.

    In whose pods they ran while they were recorded says it; an older lock, without sizes, names none.
    """
    wanted = sorted((image for image in lock.images if image.size and _is_everywhere(image, balancer)), key=lambda image: image.size) if lock is not None else []
    found: dict[str, list[str]] = {}
    for image in wanted:
        digest = f"{image.reference.repository}@{image.descriptor.digest}"
        most -= 0 if digest in found else image.size
        if most < 0:
            break
        # With a digest in it CRI knows it by that alone: its tag may be another image's.
        found.setdefault(digest, []).extend([] if image.reference.digest is not None else [str(image.reference)])
    return found


def _is_everywhere(image: LockedImage, balancer: str) -> bool:
    daemons = any(isinstance(reason, Recorded) and reason.owner.startswith("DaemonSet ") for reason in image.reasons)
    is_balancer = bool(balancer) and image.reference == Reference.parse(balancer)
    is_pause = image.reference.repository.path.rpartition("/")[2] == "pause" and not is_attached(image.reasons)  # its signature is in its repository
    return daemons or is_balancer or is_pause
