"""Can the operating system carry Kubernetes: init, cgroups, programs, mounts, limits."""

from __future__ import annotations

from collections.abc import Iterator

from installer_stub.distro.paths import KUBELET
from installer_stub.facts.kernel import CgroupVersion, Selinux
from installer_stub.preflight.finding import Finding, Site, fatal, note, warning

NEEDED_CONTROLLERS = frozenset({"cpu", "cpuset", "memory", "pids"})
# mount, umount and losetup are kubelet's; the rest is ours.
NEEDED_TOOLS = frozenset({"losetup", "mount", "sha256sum", "tar", "timeout", "umount"})
RUNS_PROGRAMS = ("/opt", "/var/lib/airseal", "/var/lib/containerd", KUBELET)
INOTIFY = "fs.inotify.max_user_instances"
FEW_INOTIFY = 1024  # the kernel's default of 128 is gone after a few dozen pods
CONNTRACK_UNTIL = (1, 32)  # since then kube-proxy does not call the program any more


def init(site: Site) -> Iterator[Finding]:
    """Services are systemd's."""
    for host, facts in site.each():
        if not facts.systemd:
            yield fatal(host.address, "systemd does not run there", "use a Linux distribution with systemd")


def cgroups(site: Site) -> Iterator[Finding]:
    """Kubelet needs four controllers, in either version."""
    for host, facts in site.each():
        missing = sorted(NEEDED_CONTROLLERS - facts.cgroups.controllers)
        if missing:
            yield fatal(
                host.address,
                f"the kernel does not offer the cgroup controller {', '.join(missing)}",
                "add cgroup_enable=memory cgroup_enable=cpuset to the kernel's command line and reboot",
            )
        elif facts.cgroups.version is not CgroupVersion.V2:
            yield note(host.address, "cgroup v1: Kubernetes calls it deprecated; kubelet is told to accept it")


def programs(site: Site) -> Iterator[Finding]:
    """What kubelet and we call must be there."""
    version = _minor(site.bundle.kubernetes)
    needed = NEEDED_TOOLS | ({"conntrack"} if version < CONNTRACK_UNTIL else frozenset())
    for host, facts in site.each():
        missing = sorted(needed - facts.tools)
        if missing and facts.systemd:
            yield fatal(
                host.address,
                f"missing programs: {', '.join(missing)}",
                "install them from the system's own medium (packages coreutils, util-linux, tar, conntrack-tools)",
            )
        if not {"iptables", "nft"} & facts.tools:
            yield warning(
                host.address,
                "neither iptables nor nft: host ports and some network plugins will not work",
                "install iptables from the system's own medium",
            )


def mounts(site: Site) -> Iterator[Finding]:
    """Programs must be allowed to run where they are put."""
    for host, facts in site.each():
        for path in (*RUNS_PROGRAMS, *(path for name, path in site.settings.directories if name != "etcd")):
            mount = facts.mount(path)
            if mount is not None and "noexec" in mount.options:
                yield fatal(
                    host.address,
                    f"{path} is on a file system mounted noexec",
                    f"mount -o remount,exec {mount.path}, in /etc/fstab too; or give {path} a file system of its own",
                )


def limits(site: Site) -> Iterator[Finding]:
    """Settings that we make, and what stays as it is."""
    for host, facts in site.each():
        instances = facts.sysctls.get(INOTIFY)
        if instances is not None and instances < FEW_INOTIFY:
            yield note(host.address, f"{INOTIFY} is {instances}: it will be raised")
        if not facts.conntrack_writable:
            yield note(host.address, "nf_conntrack_max cannot be set there: kube-proxy is told to leave it")
        if not facts.sys_resource:
            yield note(host.address, "CAP_SYS_RESOURCE is not to be had: containerd is told to leave oom_score_adj")
        if facts.selinux is Selinux.ENFORCING:
            yield note(host.address, "SELinux is enforcing, and stays so")


def swap(site: Site) -> Iterator[Finding]:
    """Kubernetes runs with swap, but memory limits mean less."""
    for host, facts in site.each():
        if facts.swap:
            yield warning(
                host.address,
                "swap is on: kubelet is told to accept it, but pods over their memory limit become slow instead of ending",
                "swapoff -a and remove swap from /etc/fstab, unless this is wanted",
            )


def _minor(version: str) -> tuple[int, int]:
    major, _, rest = version.lstrip("v").partition(".")
    minor = rest.partition(".")[0]
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else CONNTRACK_UNTIL
