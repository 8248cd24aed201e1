"""Whose are the hosts, and do they make a cluster together."""

from __future__ import annotations

from collections.abc import Iterator

from installer_stub.facts.gather import HostFacts
from installer_stub.host.model import Host
from installer_stub.preflight.finding import Finding, Site, fatal, warning


def masters(site: Site) -> Iterator[Finding]:
    """One, three or five: etcd needs more than half of them."""
    count = len({host.address for host in site.masters})
    if count == 0:
        yield fatal("", "there is no master", "name one, three or five hosts with --master")
    elif count == 2:
        yield warning("", "two masters: when either fails the cluster stops, so one alone would be safer", "use one or three masters")
    elif count % 2 == 0:
        yield warning("", f"{count} masters survive no more failures than {count - 1} do", f"use {count - 1} or {count + 1} masters")


def other_clusters(site: Site) -> Iterator[Finding]:
    """A host of another cluster is never taken; one of ours goes on where it stopped."""
    if not site.masters:
        return
    first = site.facts[site.masters[0].address].membership
    begun = any(site.facts[host.address].membership.joined for host in site.masters)
    for host, facts in site.each():
        finding = _other_cluster(site, host, facts, first.cluster, begun=begun)
        if finding is not None:
            yield finding


def _other_cluster(site: Site, host: Host, facts: HostFacts, cluster: str, *, begun: bool) -> Finding | None:
    member = facts.membership
    if member.joined and not member.ours:
        of = f" of {member.server}" if member.server else ""
        return fatal(
            host.address,
            f"it is already a member of a Kubernetes cluster{of} that this tool did not make",
            "use another host, or take it out of that cluster first (kubectl drain, kubeadm reset)",
        )
    if not member.ours:
        return None
    if member.bundle != site.bundle.title:
        return fatal(
            host.address,
            f"{member.bundle or 'another bundle'} is installed there (cluster {member.cluster}); this is {site.bundle.title}",
            "use the upgrade verb for another version of the same, or reset the host with the .run it was installed with",
        )
    if member.cluster != cluster or (member.joined and not begun):
        return fatal(
            host.address,
            f"it belongs to cluster {member.cluster} of {member.bundle}, and {site.masters[0].address} does not",
            "name that cluster's masters, or reset the host first",
        )
    return None


def other_engines(site: Site) -> Iterator[Finding]:
    """Ours takes containerd's place: socket, service and configuration."""
    for host, facts in site.each():
        if facts.engines and not facts.membership.ours and not facts.membership.joined:
            names = ", ".join(facts.engines)
            yield fatal(
                host.address,
                f"{names} already runs there, and would lose its socket and configuration to ours",
                "move its containers elsewhere, stop and remove it; or use another host",
            )
