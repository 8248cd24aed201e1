"""Opening a site that stands: whoever answers of its hosts, its record, a master that speaks for it, and who is silent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.errors import ClusterError, HostUnreachable
from installer_stub.host.connection import Connection
from installer_stub.host.model import Host
from installer_stub.kube.kubectl import Kubectl
from installer_stub.site.find import Found, find_site, this_change
from installer_stub.site.model import SiteHost, SiteRecord
from installer_stub.verbs.session import Session, close, connect_reachable, reach_quietly


@dataclass(frozen=True, slots=True)
class OpenSite:
    """``connections`` by the recorded hosts' names; ``silent`` are the recorded hosts that do not answer."""

    record: SiteRecord
    found: Found
    connections: Mapping[str, Connection]
    silent: tuple[SiteHost, ...]

    @property
    def api(self) -> Connection | None:
        """A master whose API server answers, or None."""
        return self.found.connections[self.found.api] if self.found.api else None

    @property
    def kubectl(self) -> Kubectl:
        """Return kubectl on it. Raises ClusterError where no API server answers."""
        if self.api is None:
            masters = ", ".join(host.address for host in self.record.site.masters)
            raise ClusterError(f"no API server of cluster {self.record.cluster} answers (masters: {masters})", "look on a master: journalctl -u kubelet")
        return Kubectl(self.api, KUBEADM.kubeconfig)


@contextmanager
def open_site(run: Session, *, without: tuple[str, ...] = (), everybody: bool = True) -> Iterator[OpenSite]:
    """Give the site of the hosts that the command line names, connected to all its hosts that answer.

    ``without`` are names or addresses of hosts that nobody tries to reach; ``everybody`` False: only a master that answers
    is looked for. Raises ClusterError for hosts of no site of ours, and what reading hosts raises.
    """
    named = (*run.options.hosts, *run.options.via)
    tried = tuple(host for host in named if host.address not in without)
    connections: dict[str, Connection] = {}
    try:
        connections, lost = connect_reachable(run, tried)
        found = find_site(connections, _reach(run, connections, without), this_change(run.options.verb.value))
        if found.record is None:
            names = ", ".join(host.address for host in tried)
            raise ClusterError(f"{names}: no site of airseal is installed there", "name a host of the site: --master, --node or --via")
        if everybody:
            _everybody(run, found, connections, lost, without)
        site = found.record.site
        mine = {host.name: connection for host in site.hosts if (connection := found.connected(host)) is not None}
        yield OpenSite(found.record, found, mine, tuple(host for host in site.hosts if host.name not in mine))
    finally:
        close(connections)


def _reach(run: Session, connections: dict[str, Connection], without: tuple[str, ...]) -> _Reach:
    return _Reach(run, connections, without)


@dataclass(frozen=True, slots=True)
class _Reach:
    """Connects those that answer, and lets them be closed with the rest."""

    run: Session
    connections: dict[str, Connection]
    without: tuple[str, ...]

    def __call__(self, hosts: tuple[Host, ...]) -> Mapping[str, Connection]:
        """Return the new connections."""
        new = reach_quietly(self.run, tuple(host for host in hosts if host.address not in self.without))
        self.connections.update(new)
        return new


def _everybody(run: Session, found: Found, connections: dict[str, Connection], lost: list[HostUnreachable], without: tuple[str, ...]) -> None:
    """Connect the recorded hosts that nobody named. One that did not answer a moment ago is not tried again."""
    assert found.record is not None  # noqa: S101 - the caller has looked
    silent = {failure.host for failure in lost}
    hosts = tuple(
        host.reach
        for host in found.record.site.hosts
        if found.connected(host) is None and not {host.name, host.address, host.internal} & {*without, *silent}
    )
    if hosts:
        found.connections.update(_reach(run, connections, without)(hosts))
