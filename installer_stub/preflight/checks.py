"""Preflight: every check on every host, then one stop."""

from __future__ import annotations

from collections.abc import Iterable

from installer_stub.errors import PreflightFailed
from installer_stub.preflight import (
    capacity,
    certificates,
    identity,
    leftovers,
    names_taken,
    network,
    proxies,
    recorded,
    runtime_config,
    system,
    topology,
    unknown,
)
from installer_stub.preflight.finding import Check, Finding, Severity, Site

ALL_CHECKS: tuple[Check, ...] = (
    unknown.unknown,
    identity.addresses,
    topology.masters,
    topology.other_clusters,
    topology.leaving,
    topology.other_engines,
    leftovers.leftovers,
    leftovers.names,
    names_taken.names_taken,
    identity.architecture,
    identity.c_library,
    identity.kernel,
    identity.host_names,
    identity.machine_ids,
    identity.clocks,
    system.init,
    system.cgroups,
    system.programs,
    system.mounts,
    system.limits,
    system.swap,
    capacity.processors,
    capacity.memory,
    capacity.disks,
    network.ports,
    network.ranges,
    network.firewalls,
    network.nameservers,
    network.default_routes,
    proxies.proxies,
    proxies.dropins,
    recorded.recorded,
    runtime_config.runtime_config,
    certificates.torn,
    certificates.lost,
    certificates.ends,
    certificates.clock,
)

_ORDER = tuple(Severity)


def check_all(site: Site) -> tuple[Finding, ...]:
    """Return all findings, the fatal ones first, each severity in the order of checks and hosts."""
    findings = [finding for check in ALL_CHECKS for finding in check(site)]
    return tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.severity)))


def require(findings: Iterable[Finding]) -> None:
    """Return if nothing is fatal. Raises PreflightFailed, which lists everything that is."""
    fatal = [finding for finding in findings if finding.severity is Severity.FATAL]
    if not fatal:
        return
    count = "1 finding forbids" if len(fatal) == 1 else f"{len(fatal)} findings forbid"
    lines = "\n".join(f"  - {finding}" for finding in fatal)
    raise PreflightFailed(f"{count} the installation; no host was changed:\n{lines}")
