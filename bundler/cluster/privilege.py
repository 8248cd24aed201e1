"""What a container needs so that systemd, containerd and kubelet run in it: privileged, or the same asked piece by piece.

Engine 20.10 asks for every capability the kernel knows; where its host lacks one, "unable to apply caps" is all that
comes of ``--privileged``. Then the pieces are named, without what is missing.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator
from typing import Any, Final

from bundler.cluster.lease import HALT, until_its_end
from bundler.cluster.network import TemporaryNetwork
from bundler.cluster.uninterrupted import heard_afterwards
from bundler.engine import Engine, docker_errors
from bundler.errors import ClusterFailed
from installer_stub.distro.paths import ETCD, KUBELET

_UNKNOWN: Final = re.compile(r'unknown capability: "(?:CAP_)?([A-Z_]+)"')
_STATUS_SECONDS: Final = 30
_STATUS_LINES: Final = 100

# linux/capability.h, by number.
_CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE",
    "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
    "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
    "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
)  # fmt: skip

# Makes what docker mounted read-only writable for systemd and kubelet, lets kubelet's mounts propagate, and becomes init.
# "remount,rw" of a cgroup without "bind" answers "busy".
_BOOT = (
    "mount -o remount,rw /sys; "
    "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do [ ! -d $d ] || mount -o remount,bind,rw $d 2>/dev/null; done; "
    "mount --make-rshared /; exec /sbin/init"
)
# Docker's own server answers for the outside too, whatever the network is; it stands in a file that is mounted over ours.
_NO_NAMES = "umount /etc/resolv.conf 2>/dev/null; : > /etc/resolv.conf; "
# Overlay on overlay fails, and etcd wants a real disk: these are volumes.
VOLUMES = ("/var/lib/containerd", KUBELET, ETCD)
_COMMON = {"tmpfs": {"/run": "", "/tmp": "exec"}, "cgroupns": "private"}  # noqa: S108 - a mount point in the container


def boot_command(*, closed: bool, leased: bool = False) -> list[str]:
    """Return what the container runs before it is a machine; ``closed``: it knows no nameserver; ``leased``: it ends when nobody renews it."""
    count = f"( {until_its_end()}; {HALT} ) & " if leased else ""
    return ["/bin/sh", "-c", f"{_NO_NAMES if closed else ''}{count}{_BOOT}"]


def privileged() -> dict[str, Any]:
    """Return the host settings of a privileged container."""
    return {**_COMMON, "privileged": True}


def piecewise(status: str, unknown: Collection[str] = ()) -> dict[str, Any]:
    """Return the same without what the engine's machine lacks; ``status`` is the text of a /proc/<pid>/status there. Raises ClusterFailed.

    ``unknown`` are capabilities that the engine knows no name of: it gives none of them, and drops none.
    """
    return {
        **_COMMON,
        "cap_add": ["ALL"],
        "cap_drop": [each for each in missing_capabilities(status) if each not in unknown],
        "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
        "device_cgroup_rules": ["a *:* rwm"],
        "devices": ["/dev/kmsg"],
    }


# What ``docker run --security-opt systempaths=unconfined`` sends; the SDK has no name for it.
UNMASKED: dict[str, list[str]] = {"MaskedPaths": [], "ReadonlyPaths": []}


def missing_capabilities(status: str) -> Iterator[str]:
    """Yield the names of the capabilities that the bounding set in a /proc/<pid>/status lacks. Raises ClusterFailed where it has none."""
    found = [int(line.split()[1], 16) for line in status.splitlines() if re.fullmatch(r"CapBnd:\s*[0-9a-f]{1,16}\s*", line)]
    if len(found) != 1:
        raise ClusterFailed("nobody can tell which capabilities the engine's machine has", "use an engine that may run privileged containers")
    (bounding,) = found
    for bit, name in enumerate(_CAPABILITIES):
        if not bounding >> bit & 1:
            yield name


def refused(message: str) -> bool:
    """Tell whether an engine's message means that it may not give all privileges."""
    text = message.lower()
    return any(sign in text for sign in ("unable to apply caps", "operation not permitted", "capabilit"))


def unknown_capability(message: str) -> str:
    """Return the capability that an engine says it has never heard of, empty if it says something else."""
    found = _UNKNOWN.search(message)
    return found[1] if found else ""


def engine_status(engine: Engine, image: str, network: TemporaryNetwork) -> str:
    """Return /proc/1/status of the machine the engine runs on: what that one lacks, no container of it gets.

    By a container in its pid namespace, for the engine may be anywhere; ``network`` takes it along if it should stay. Raises DockerError.
    """
    api = engine.client.api
    with docker_errors("docker cannot tell which capabilities its machine has"):
        settings = api.create_host_config(pid_mode="host")
        name = f"{network.name}-asks-{secrets.token_hex(2)}"
        with heard_afterwards():
            api.create_container(image, command=["cat", "/proc/1/status"], name=name, labels=network.labels, host_config=settings, entrypoint=[])
        try:
            api.start(name)
            api.wait(name, timeout=_STATUS_SECONDS)
            said: bytes = api.logs(name, stdout=True, stderr=False, tail=_STATUS_LINES)
        finally:
            api.remove_container(name, force=True, v=True)
    return said.decode(errors="replace")
