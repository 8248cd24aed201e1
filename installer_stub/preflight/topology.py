"""Whose are the hosts, and do they make a cluster together."""

from __future__ import annotations

from collections.abc import Iterator

from installer_stub.errors import HostLeaving
from installer_stub.host.model import Role
from installer_stub.preflight.finding import Finding, Site, fatal, warning


def masters(site: Site) -> Iterator[Finding]:
    """One, three or five: etcd needs more than half of them."""
    listed = site.members or site.hosts
    count = len({host.address for host in listed if host.role is Role.MASTER})
    if count == 0:
        yield fatal("", "there is no master", "name one, three or five hosts with --master")
    elif count == 2:
        yield warning("", "two masters: when either fails the cluster stops, so one alone would be safer", "use one or three masters")
    elif count % 2 == 0:
        yield warning("", f"{count} masters survive no more failures than {count - 1} do", f"use {count - 1} or {count + 1} masters")


def other_clusters(site: Site) -> Iterator[Finding]:
    """A host of others is never taken. That those of ours belong together is known before (``site.choose``)."""
    for host, facts in site.each():
        member = facts.membership
        if member.joined and not member.ours:
            of = f" of {member.server}" if member.server else ""
            yield fatal(
                host.address,
                f"it is already a member of a Kubernetes cluster{of} that this tool did not make",
                "use another host, or take it out of that cluster first (kubectl drain, kubeadm reset)",
            )


def leaving(site: Site) -> Iterator[Finding]:
    """What was begun to be taken off is taken off to its end first."""
    for host, facts in site.each():
        if facts.membership.leaving:
            yield fatal(host.address, HostLeaving.PROBLEM, HostLeaving.remedy_for(host.address))


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
