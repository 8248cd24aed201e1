"""Is there room: processors, memory, disks."""

from __future__ import annotations

from collections.abc import Iterator

from installer_stub.distro.paths import KUBELET
from installer_stub.facts.gather import HostFacts
from installer_stub.host.model import Host, Role
from installer_stub.preflight.finding import Finding, Site, fatal, gib, warning

# kubeadm's own limits for a control plane, which it does not start or join below (constants.go: ControlPlaneNumCPU, ControlPlaneMem);
# its MB are 2^20 bytes. For nodes it has none; a "1 GB" machine shows some 960 MiB.
MASTER_CPUS, MASTER_MEMORY, NODE_MEMORY = 2, 1700 * 2**20, 900 * 2**20
EVICTION = 2**30  # kubelet evicts pods when nodefs or imagefs has less than this free (evictionHard in our configuration)
OWN_FILES = 128 * 2**20  # the stub as it comes, as it is laid out and the one before it; certificates, journals


def processors(site: Site) -> Iterator[Finding]:
    """A master needs two, or kubeadm refuses it."""
    for host, facts in site.each():
        if host.role is Role.MASTER and facts.cpus < MASTER_CPUS:
            tell = warning if facts.membership.joined else fatal
            yield tell(host.address, "a master with one CPU: kubeadm refuses it", f"give it {MASTER_CPUS} CPUs, or make it a node")


def memory(site: Site) -> Iterator[Finding]:
    """Control plane and kubelet must fit; kubeadm refuses a master that is too small."""
    for host, facts in site.each():
        if host.role is Role.MASTER and facts.memory < MASTER_MEMORY:
            tell = warning if facts.membership.joined else fatal
            problem = f"{gib(facts.memory)} of memory, kubeadm refuses a master with less than {gib(MASTER_MEMORY)}"
            yield tell(host.address, problem, "give it more memory, or make it a node")
        elif facts.memory < NODE_MEMORY:
            yield warning(
                host.address,
                f"{gib(facts.memory)} of memory, a {host.role} wants {gib(NODE_MEMORY)}",
                "give it more memory, or expect pods to be killed",
            )


def disks(site: Site) -> Iterator[Finding]:
    """After the installation kubelet's eviction threshold must still be free, on every file system by itself."""
    for host, facts in site.each():
        ours = facts.membership.bundle == site.bundle.title
        needs: dict[str, int] = {}
        for place, size in _needs(site, host).items():
            mount = facts.disk(place).mount
            needs[mount] = needs.get(mount, 0) + (0 if ours else size)
        for mount, need in needs.items():
            free = _free(facts, mount)
            if free - need >= EVICTION:
                continue
            short = gib(need + EVICTION - free)
            if ours:  # what is missing was counted when the installation began
                yield warning(host.address, f"{gib(free)} free on {mount}, pods are evicted below {gib(EVICTION)}", f"free {short} there")
            else:
                yield fatal(
                    host.address,
                    f"{gib(free)} free on {mount}; the installation takes {gib(need)}, "
                    f"and pods are evicted when less than {gib(EVICTION)} is left",
                    f"free {short} on {mount}, or give the host a larger disk",
                )


def _needs(site: Site, host: Host) -> dict[str, int]:
    run = site.run_size if host.role is Role.MASTER else 0
    return {
        "/opt": site.bundle.files_size + OWN_FILES,
        "/var/lib/airseal": run,
        site.settings.directory("containerd", "/var/lib/containerd"): site.bundle.images_unpacked_size,
        site.settings.directory("kubelet", KUBELET): 0,
    }


def _free(facts: HostFacts, mount: str) -> int:
    return min(disk.free for disk in facts.disks if disk.mount == mount)
