"""A Docker Engine that answers, and the Debian packages the test bed needs; both are looked for before anything is done.

>>> engine(Cache.default()).version()["Version"]                                                  # doctest: +SKIP
'20.10.24+dfsg1'
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import docker.errors

from tests.testbed.cache import Cache, TestBedError
from tests.testbed.progress import run_logged, say, step

DEBIAN_PACKAGES = (
    "docker.io", "containerd", "runc", "iptables",  # the engine
    "mmdebstrap",  # root file systems
    "gcc", "libc6-dev", "libseccomp-dev", "pkg-config",  # runc, flannel and pause
    "unzip", "skopeo", "curl", "openssh-client",  # what tests look with
    "podman", "iproute2",  # another client of registries, and network namespaces for all of them
    "openssh-server", "sudo", "passwd", "procps", "mount", "tcsh",  # a real sshd on loopback, its users, and what they run
)  # fmt: skip
"""Debian's and Ubuntu's names for what the test bed runs."""

_CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL",
    "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
    "PERFMON", "BPF", "CHECKPOINT_RESTORE",
)  # fmt: skip
"""In the kernel's order: the bit number is the position (include/uapi/linux/capability.h)."""


_PID_FILES = {
    Path("/var/run/docker.pid"): "dockerd",
    Path("/var/run/docker/containerd/containerd.pid"): "containerd",
}

_STARTED: list[subprocess.Popen[bytes]] = []


def require_packages(cache: Cache) -> None:
    """Install those of DEBIAN_PACKAGES that are missing. Raises TestBedError where that cannot be done."""
    if shutil.which("dpkg-query") is None:
        _require_programs()
        return
    missing = [package for package in DEBIAN_PACKAGES if not _is_installed(package)]
    if not missing:
        return
    if os.geteuid() != 0:
        raise TestBedError(
            f"missing Debian packages; run: sudo apt-get install --no-install-recommends {' '.join(missing)}"
        )
    with step(f"installing {' '.join(missing)}"):
        log, remedy = cache.root / "apt.log", "look at the log and at /etc/apt/sources.list"
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run_logged(["apt-get", "update"], log=log, remedy=remedy, env=environment)
        install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
        run_logged(install, log=log, remedy=remedy, env=environment)


def engine(cache: Cache) -> docker.APIClient:
    """Return a client of an engine that answers, starting one if this is root and nothing else would."""
    client = _connect()
    if client is None:
        require_packages(cache)
        _start_engine(cache)
        client = _connect()
    if client is None:
        raise TestBedError(
            f"the Docker Engine was started and does not answer; look at {cache.root / 'dockerd.log'}"
        )
    return client


def privileges(client: docker.APIClient, image: str) -> dict[str, Any]:
    """Return the host settings that let systemd run in a container of ``image``: privileged if the engine can.

    Engine 20.10 asks for every capability the kernel knows, and where its host lacks one "unable to apply caps" is all
    that comes of it. Then the same is asked for piece by piece, without what is missing.
    """
    if _can_be_privileged(client, image):
        return client.create_host_config(privileged=True)
    config = client.create_host_config(
        cap_add=["ALL"],
        cap_drop=list(missing_capabilities(Path("/proc/self/status").read_text())),
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        device_cgroup_rules=["a *:* rwm"],
        devices=["/dev/kmsg"],
    )
    # What the docker command calls systempaths=unconfined.
    return {**config, "MaskedPaths": [], "ReadonlyPaths": []}


def missing_capabilities(status: str) -> Iterator[str]:
    """Yield the names of the capabilities that the bounding set in a /proc/<pid>/status lacks."""
    bounding = next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:"))
    for bit, name in enumerate(_CAPABILITIES):
        if not int(bounding, 16) >> bit & 1:
            yield name


def remove_container(client: docker.APIClient, name: str) -> None:
    """Remove a container with its anonymous volumes; a container that is not there is as good."""
    try:
        client.remove_container(name, force=True, v=True)
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        if error.status_code != 409:  # removal is already in progress, for example by an earlier run
            raise


def remove_network(client: docker.APIClient, identity: str) -> None:
    """Remove a network of ours; a container that someone else connected to it is disconnected, not removed."""
    try:
        for container in client.inspect_network(identity)["Containers"] or {}:
            client.disconnect_container_from_network(container, identity, force=True)
        client.remove_network(identity)
    except docker.errors.NotFound:
        return


@functools.cache
def _can_be_privileged(client: docker.APIClient, image: str) -> bool:
    labels = {"airseal.testbed": "(probe)"}
    probe = client.create_container(
        image, ["/bin/true"], labels=labels, host_config=client.create_host_config(privileged=True)
    )
    try:
        client.start(probe)
    except docker.errors.APIError as error:
        if "caps" not in str(error):
            raise
        return False
    else:
        return True
    finally:
        remove_container(client, probe["Id"])


def _connect() -> docker.APIClient | None:
    try:
        client = docker.from_env(version="auto", timeout=600).api
        client.ping()
    except docker.errors.DockerException:
        return None
    return client


def _start_engine(cache: Cache) -> None:
    if os.geteuid() != 0:
        raise TestBedError(
            "no Docker Engine answers; start it (sudo systemctl start docker) and join its group, or be root"
        )
    log = cache.root / "dockerd.log"
    if Path("/run/systemd/system").is_dir():
        run_logged(["systemctl", "start", "docker"], log=log, remedy="run: systemctl status docker")
    else:
        forget_stopped(_PID_FILES)
        say(f"starting dockerd, log {log}")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            # It outlives us; kept, for a process that is forgotten while it runs is a warning, and that an error of whichever test comes next.
            _STARTED.append(
                subprocess.Popen(["dockerd"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
            )
    deadline = time.monotonic() + 60
    while _connect() is None and time.monotonic() < deadline:
        time.sleep(0.5)


def forget_stopped(pid_files: Mapping[Path, str]) -> None:
    """Remove pid files of programs that run no more: dockerd takes whatever process has the number now for itself.

    ``pid_files``: file to the name of the program that wrote it, as in /proc/<pid>/comm.
    """
    for file, program in pid_files.items():
        try:
            pid = int(file.read_text())
        except (OSError, ValueError):
            continue
        comm = Path(f"/proc/{pid}/comm")
        if not comm.exists() or comm.read_text().strip() != program:
            say(f"{file} is of a {program} that runs no more: removed")
            file.unlink(missing_ok=True)


def _is_installed(package: str) -> bool:
    command = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout == "installed"


def _require_programs() -> None:
    programs = ("docker", "mmdebstrap", "gcc", "pkg-config", "unzip", "skopeo", "ssh")
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise TestBedError(
            f"not installed: {', '.join(missing)}; install them, on Debian: {' '.join(DEBIAN_PACKAGES)}"
        )
