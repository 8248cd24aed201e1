"""Plans, bundles and contexts with sensible values: a test names only what it is about."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from installer_stub.agent import program
from installer_stub.bundle.layout import Layout
from installer_stub.bundle.model import BundleInfo, ClusterCommand, ImageLock
from installer_stub.host.connection import Connection
from installer_stub.host.model import Host, Role
from installer_stub.phases.base import Artifact, Context
from installer_stub.plan.model import HostPlan, ImageSource, Plan
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from tests.fakes.frozen_stub import frozen
from tests.fakes.scripted import ScriptedConnection

STUB = frozen()
IDENTITY = Layout.of(STUB).identity
LOOK = str(program.NOTE)  # in the text of the question whether a host has the stub, and nowhere else
M1, M2, M3, N1, N2 = "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"


def bundle_info(**changes: Any) -> BundleInfo:
    values: dict[str, Any] = {
        "name": "shop",
        "version": "1.4.0",
        "kubernetes": "v1.36.3",
        "platforms": ("linux/amd64",),
        "cluster": Descriptor("application/vnd.oci.image.manifest.v1+json", Digest.of(b"cluster"), 7),
        "commands": (ClusterCommand(("/bin/sh", "-ec", "kubectl apply -f net.yml"), 7), ClusterCommand(("helm", "install", "shop"), 9)),
        "environment": {"GREETING": "two words"},
        "labels": {},
        "images_size": 1,
        "images_unpacked_size": 1,
        "files_size": 1,
        "airseal": "0.1.0",
    }
    return BundleInfo(**{**values, **changes})


def host_plan(address: str, role: Role = Role.MASTER, **changes: Any) -> HostPlan:
    values: dict[str, Any] = {
        "address": address,
        "name": f"{role.value[0]}{address.rpartition('.')[2]}",
        "role": role,
        "cgroup_driver": "systemd",
        "cgroup_v1": False,
        "restrict_oom_score": False,
        "conntrack_fixed": False,
        "resolv_conf": "/etc/resolv.conf",
        "default_route": True,
        "swap": False,
    }
    return HostPlan(**{**values, **changes})


def masters(*addresses: str, **changes: Any) -> tuple[HostPlan, ...]:
    return tuple(host_plan(address, Role.MASTER, **changes) for address in addresses)


def nodes(*addresses: str, **changes: Any) -> tuple[HostPlan, ...]:
    return tuple(host_plan(address, Role.NODE, **changes) for address in addresses)


def make_plan(*hosts: HostPlan, recording: bool = False, images: ImageSource | None = None, **bundle: Any) -> Plan:
    hosts = hosts or masters(M1)
    endpoints = tuple(f"https://{host.address}:5443" for host in hosts if host.role is Role.MASTER)
    return Plan(
        bundle=bundle_info(**bundle),
        hosts=hosts,
        pod_cidr="10.244.0.0/16",
        service_cidr="10.96.0.0/16",
        recording=recording,
        images=images or ImageSource(endpoints, "/etc/airseal/ca.crt", "/etc/airseal/registry.credential"),
    )


@dataclass
class RecordingReporter:
    """A Reporter that keeps what it was told."""

    steps: list[str] = field(default_factory=list)
    bytes: dict[str, int] = field(default_factory=dict)

    def step(self, text: str) -> None:
        self.steps.append(text)

    def moved(self, what: str, count: int, total: int) -> None:
        self.bytes[what] = self.bytes.get(what, 0) + count


def scripted_hosts(plan: Plan) -> dict[str, ScriptedConnection]:
    return {host.address: ScriptedConnection(Host(host.address, host.role)).marks() for host in plan.hosts}


def make_context(plan: Plan, connections: Mapping[str, Connection] | None = None, **changes: Any) -> Context:
    values: dict[str, Any] = {
        "plan": plan,
        "connections": dict(connections if connections is not None else scripted_hosts(plan)),
        "artifact": Artifact(len(STUB), lambda: io.BytesIO(STUB), hashlib.sha256(STUB).hexdigest()),
        "reporter": RecordingReporter(),
        "lock": ImageLock(()),
    }
    return Context(**{**values, **changes})
