"""What a host's kernel and init allow: cgroups, capabilities, limits, SELinux."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from installer_stub.facts.base import Fact, Otherwise

CAP_SYS_RESOURCE = 24  # capability.h
SYSCTLS = ("fs.inotify.max_user_instances", "fs.inotify.max_user_watches", "net.ipv4.ip_forward", "user.max_user_namespaces")


class CgroupVersion(StrEnum):
    """``HYBRID`` has v1 controllers with a v2 hierarchy beside them; to Kubernetes that is v1."""

    V1 = "v1"
    V2 = "v2"
    HYBRID = "hybrid"


class Selinux(StrEnum):
    """SELinux's mode; ``DISABLED`` also where the kernel has none."""

    ENFORCING = "enforcing"
    PERMISSIVE = "permissive"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Cgroups:
    """The version, and the controllers that can be used."""

    version: CgroupVersion
    controllers: frozenset[str]


def parse_cgroups(stdout: str) -> Cgroups:
    """Return it from: "v2" and the controllers; or "v1" or "hybrid", and /proc/cgroups."""
    first, _, rest = stdout.partition("\n")
    version = CgroupVersion(first.strip())
    if version is CgroupVersion.V2:
        return Cgroups(version, frozenset(rest.split()))
    rows = (line.split() for line in rest.splitlines() if not line.startswith("#"))
    return Cgroups(version, frozenset(row[0] for row in rows if len(row) == 4 and row[3] == "1"))


def parse_capabilities(stdout: str) -> bool:
    """Tell whether CAP_SYS_RESOURCE can be had, from bounding sets in hex, one a line. No line: an old kernel, yes."""
    return all(int(line, 16) >> CAP_SYS_RESOURCE & 1 for line in stdout.split())


def parse_sysctls(stdout: str) -> dict[str, int]:
    """Return the values of lines "name value"; a sysctl that the kernel lacks has no line."""
    rows = (line.split() for line in stdout.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2}


def parse_selinux(stdout: str) -> Selinux:
    """Return the mode from the content of ``enforce``."""
    return {"1": Selinux.ENFORCING, "0": Selinux.PERMISSIVE}.get(stdout.strip(), Selinux.DISABLED)


def parse_systemd(stdout: str) -> str:
    """Return systemd's version ("252"), or nothing where it is not what runs the host."""
    words = stdout.split()
    return words[1] if len(words) > 1 and words[0] == "systemd" else ""


_CGROUPS = (
    "if [ -f /sys/fs/cgroup/cgroup.controllers ]; then echo v2; cat /sys/fs/cgroup/cgroup.controllers; "
    "else if [ -d /sys/fs/cgroup/unified ]; then echo hybrid; else echo v1; fi; cat /proc/cgroups; fi"
)
# Where nf_conntrack is not loaded, its limit cannot be looked at: it can be set where we are in the first network
# namespace, which is the one that has net.core.dev_weight.
_CONNTRACK = (
    "limit=/proc/sys/net/netfilter/nf_conntrack_max; [ -e $limit ] || limit=/proc/sys/net/core/dev_weight; "
    "if [ -w $limit ]; then echo yes; else echo no; fi"
)
_SYSCTLS = (
    f"for name in {' '.join(SYSCTLS)}; do "
    'file=/proc/sys/$(printf %s "$name" | tr . /); [ -r "$file" ] && echo "$name $(cat "$file")"; done'
)

CGROUPS = Fact(
    "cgroups",
    _CGROUPS,
    parse_cgroups,
    Otherwise(Cgroups(CgroupVersion.V2, frozenset({"cpu", "cpuset", "memory", "pids"})), "which cgroups kubelet is to use", needed=True),
)
# Of pid 1, which starts containerd, and of ourselves.
SYS_RESOURCE = Fact("capabilities", "sed -n 's/^CapBnd:[[:space:]]*//p' /proc/1/status /proc/self/status", parse_capabilities, Otherwise(value=False, meaning="whether CAP_SYS_RESOURCE can be had; it is taken for missing"))
CONNTRACK = Fact("conntrack", _CONNTRACK, lambda stdout: stdout.strip() == "yes", Otherwise(value=False, meaning="whether nf_conntrack_max can be set; it is left alone"))
SYSCTL_VALUES: Fact[dict[str, int]] = Fact("sysctls", _SYSCTLS, parse_sysctls, Otherwise({}, "which limits its kernel has"))
SELINUX = Fact("selinux", "cat /sys/fs/selinux/enforce", parse_selinux, Otherwise(Selinux.DISABLED, "whether SELinux is enforcing"))
SYSTEMD = Fact("systemd", "[ -d /run/systemd/system ] && systemctl --version", parse_systemd, Otherwise("unknown", "whether systemd runs there", needed=True))
