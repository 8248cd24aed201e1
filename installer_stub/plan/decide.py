"""From options, facts and bundle to the Plan: pure, so that ``plan`` prints exactly what ``install`` will do.

What forbids an installation is preflight's business; here every host gets what its facts call for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from installer_stub.bundle.model import BundleInfo
from installer_stub.facts.gather import HostFacts
from installer_stub.facts.kernel import CgroupVersion
from installer_stub.host.model import Host, Role
from installer_stub.plan.model import (
    BY_ITSELF,
    CERTIFICATE_VALIDITY,
    CREDENTIAL,
    REGISTRY_CA,
    Access,
    HostPlan,
    ImageSource,
    Member,
    Plan,
    in_url,
)
from installer_stub.plan.settings import AS_USUAL, REGISTRY_PORT, Pairs, SiteSettings
from installer_stub.values.model import NOTHING as NO_VALUES_SET
from installer_stub.values.model import Effective


class Choices(Protocol):
    """What the operator chose; the part of the options that shapes a plan."""

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Masters and nodes in the operator's order."""

    @property
    def pod_cidr(self) -> str:
        """Network of the pods."""

    @property
    def service_cidr(self) -> str:
        """Network of the Services."""


def build_plan(
    options: Choices,
    facts: Mapping[str, HostFacts],
    bundle: BundleInfo,
    *,
    recording: bool = False,
    images: ImageSource | None = None,
    certificate_validity: int = CERTIFICATE_VALIDITY,
    access: Access = BY_ITSELF,
    members: tuple[Member, ...] = (),
    settings: SiteSettings = AS_USUAL,
    env: Mapping[str, Pairs] | None = None,
    values: Effective = NO_VALUES_SET,
) -> Plan:
    """Return the plan for ``options.hosts``, whose facts are given by address. ``images`` None: the masters serve them.

    ``members`` are all hosts of the site, where those are more than ``options.hosts``; ``env`` is by the hosts' addresses. What a
    site adds to the environment of the commands is in the plan's bundle: a command with another environment is another one.
    """
    return Plan(
        bundle=replace(bundle, environment={**bundle.environment, **dict(settings.env)}) if settings.env else bundle,
        hosts=tuple(replace(host_plan(host, facts[host.address]), env=(env or {}).get(host.address, ())) for host in options.hosts),
        pod_cidr=options.pod_cidr,
        service_cidr=options.service_cidr,
        recording=recording,
        images=images or site_registry(members or options.hosts, settings.registry_port),
        certificate_validity=certificate_validity,
        access=access,
        members=members,
        settings=settings,
        values=tuple(sorted(values.variables.items())),
        values_identity=values.identity,
    )


def host_plan(host: Host, facts: HostFacts) -> HostPlan:
    """Return what ``host`` will be."""
    unified = facts.cgroups.version is CgroupVersion.V2
    return HostPlan(
        address=host.address,
        internal_address=host.internal,
        name=node_name(facts.hostname),
        role=host.role,
        # systemd manages cgroup v1 too, but not in a container on a v1 host; cgroupfs works on every v1 (and hybrid) host.
        cgroup_driver="systemd" if unified else "cgroupfs",
        cgroup_v1=not unified,
        restrict_oom_score=not facts.sys_resource,
        conntrack_fixed=not facts.conntrack_writable,
        resolv_conf=facts.resolv_conf,
        default_route=facts.default_route,
        swap=facts.swap,
    )


def node_name(hostname: str) -> str:
    """Return the Kubernetes node name of a host: its own name, lower case, as kubelet makes it."""
    return hostname.strip().lower()


def site_registry(hosts: Iterable[Host | Member], port: int = REGISTRY_PORT) -> ImageSource:
    """Return the masters as where images come from."""
    masters = ((host.internal if isinstance(host, Host) else "") or host.address for host in hosts if host.role is Role.MASTER)
    return ImageSource(tuple(f"https://{in_url(address)}:{port}" for address in masters), REGISTRY_CA, CREDENTIAL)
