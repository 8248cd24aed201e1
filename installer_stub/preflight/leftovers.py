"""Whose data lies where ours will be, and whose name a host has: what we did not make we do not wipe."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.facts.cluster import is_same_host
from installer_stub.facts.leftovers import Leftover
from installer_stub.plan.decide import node_name
from installer_stub.preflight.finding import Finding, Site, fatal, note
from installer_stub.ui.transfer import size

KNOWN: Final = frozenset(path for path, _ in KUBEADM.own_directories)
ASIDE: Final = ".before-airseal"


def leftovers(site: Site) -> Iterator[Finding]:
    """Data of an earlier life is moved away by its owner, or set aside on request; it is never deleted."""
    for host, facts in site.each():
        if facts.membership.ours or facts.membership.joined:
            continue  # ours, or another finding forbids the host altogether
        for left in facts.leftovers:
            yield _leftover(host.address, left, now=time.time() + facts.clock_offset, taken=left.path in site.take)


def _leftover(host: str, left: Leftover, *, now: float, taken: bool) -> Finding:
    what = f"{left.path} holds {size(left.size)} that this installation did not make, last changed {_when(left.changed, now)}"
    if left.mount_point:
        return fatal(host, f"{what}; it is a file system of its own", f"move away what is in {left.path}, or mount an empty file system there")
    if taken:
        return note(host, f"{what}: it will be renamed to {left.path}{ASIDE}, and a reset renames it back")
    if left.path not in KNOWN:
        return fatal(host, what, "move it away if somebody needs it, or let the Clusterfile name another directory")
    return fatal(host, what, f"move it away if somebody needs it; or let the installation rename it: --take {left.path}")


def _when(changed: int, now: float) -> str:
    day = time.strftime("%Y-%m-%d", time.gmtime(changed))
    days = int((now - changed) // 86400)
    return f"{day} ({days} days ago)" if days > 1 else f"{day} (less than two days ago)"


def names(site: Site) -> Iterator[Finding]:
    """A node's name has one host: a newcomer with it would throw the other out."""
    if site.cluster is None:
        return
    for host, facts in site.each():
        name = node_name(facts.hostname)
        node = site.cluster.named(name)
        if node is None or is_same_host(node, host.internal or host.address, facts.machine_id):
            continue
        where = ", ".join(node.addresses) or "an unknown address"
        yield fatal(
            host.address,
            f"its name {name} is that of the cluster's {'live ' if node.ready else ''}node at {where}",
            f"give it a name of its own: hostnamectl set-hostname NAME on {host.address}",
        )
