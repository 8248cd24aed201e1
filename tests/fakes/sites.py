"""Site records with sensible values: a test names only what it is about."""

from __future__ import annotations

from typing import Any

from installer_stub.host.model import Role
from installer_stub.plan.model import Plan
from installer_stub.site.model import (
    BundleState,
    Change,
    InstalledBundle,
    Networks,
    Site,
    SiteHost,
    SiteRecord,
    Versions,
)

CHANGE = Change("2026-11-26T15:00:00Z", "engineer@laptop", "install")
SHOP = InstalledBundle("shop", "1.4.0", "sha256:" + "1" * 64, BundleState.INSTALLED)
NETWORKS = Networks("10.244.0.0/16", "10.96.0.0/16")


def master(number: int, **changes: Any) -> SiteHost:
    return site_host(number, Role.MASTER, **changes)


def node(number: int, **changes: Any) -> SiteHost:
    return site_host(number, Role.NODE, **changes)


def site_host(number: int, role: Role, **changes: Any) -> SiteHost:
    address = f"10.0.0.{number}"
    values = {"name": f"{role.value[0]}{number}", "role": role, "address": address, "internal": address}
    return SiteHost(**{**values, **changes})


def site(*hosts: SiteHost, **changes: Any) -> Site:
    values: dict[str, Any] = {"hosts": hosts or (master(2), node(5)), "networks": NETWORKS, "bundles": (SHOP,)}
    return Site(**{**values, **changes})


def record(*hosts: SiteHost, **changes: Any) -> SiteRecord:
    values: dict[str, Any] = {
        "cluster": "c1",
        "epoch": 3,
        "authority": "sha256:" + "a" * 64,
        "site": site(*hosts),
        "versions": Versions("v1.36.3", "0.1.0"),
        "changed": CHANGE,
    }
    return SiteRecord(**{**values, **changes})


def site_record(plan: Plan, **changes: Any) -> SiteRecord:
    """Return the record of the hosts of a plan, not installed yet."""
    hosts = tuple(SiteHost(host.name, host.role, host.address, host.address) for host in plan.hosts)
    bundle = InstalledBundle(plan.bundle.name, plan.bundle.version, SHOP.digest, BundleState.INSTALLING)
    networks = Networks(plan.pod_cidr, plan.service_cidr)
    return record(**{"site": Site(hosts, networks, (bundle,)), "epoch": 1, "authority": "", **changes})
