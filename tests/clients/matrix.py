"""Every client there is, and what must be built before they run."""

from __future__ import annotations

import platform
from pathlib import Path

from registry_snapshot.oci.descriptor import Platform
from tests.clients.client import Client
from tests.clients.command_line import Crane, Helm, Podman, Skopeo
from tests.clients.containerd import Cri, Ctr, Programs
from tests.clients.engine import Engine
from tests.clients.kubelet import Kubelet
from tests.testbed.parts import Parts

NAMES = (
    "containerd-cri", "containerd-ctr", "debian-containerd-cri", "debian-containerd-ctr",
    "docker", "skopeo", "crane", "podman", "helm", "kubelet",
)  # fmt: skip
PINNED = ("containerd-cri", "containerd-ctr", "crane", "helm", "kubelet")
"""Clients whose version the test bed decides; of the others, the distribution does."""
PARTS = ("registry", "crane", "helm", "containerd", "cri", "runc", "kubernetes")

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def machine_platform() -> Platform:
    """Return the platform that clients on this machine pull for."""
    return Platform("linux", _ARCHITECTURES[platform.machine()])


def client_named(name: str, parts: Parts) -> Client:
    """Return a client. Its programs must be there: PARTS, and the test bed's Debian packages."""
    built = parts.out("containerd")
    ours = Programs("2", built / "containerd", built / "ctr")
    debian = Programs("1", Path("containerd"), Path("ctr"))
    cri = parts.out("cri") / "cri"
    clients: tuple[Client, ...] = (
        Cri("containerd-cri", ours, cri),
        Ctr("containerd-ctr", ours),
        Cri("debian-containerd-cri", debian, cri),
        Ctr("debian-containerd-ctr", debian),
        Engine("docker", debian),
        Skopeo(),
        Crane(parts.out("crane") / "crane", machine_platform()),
        Podman(),
        Helm(parts.out("helm") / "helm"),
        Kubelet(parts),
    )
    return next(client for client in clients if client.name == name)
