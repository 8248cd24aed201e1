"""Finding the site's record from any of its hosts: named, recorded elsewhere, or kept by the cluster."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.errors import RecordError
from installer_stub.facts.gather import HostFacts
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.host.fanout import for_each
from installer_stub.host.model import Host, Role
from installer_stub.kube.kubectl import Kubectl
from installer_stub.site.adopt import record_from_cluster
from installer_stub.site.choose import Chosen, choose, one_cluster
from installer_stub.site.model import Change, SiteHost, SiteRecord
from installer_stub.site.store import HostMark, OldMark, read_mark, record_in_cluster

Reach = Callable[[tuple[Host, ...]], Mapping[str, Connection]]  # connects those that answer


@dataclass(slots=True)
class Found:
    """What the hosts say together. ``connections`` and ``marks`` by the address at which a host was reached."""

    connections: dict[str, Connection]
    marks: dict[str, HostMark]
    chosen: Chosen
    record: SiteRecord | None = None
    api: str = ""  # the address of a master whose API server answers; empty: none was found
    guides: list[str] = field(default_factory=list)  # hosts that nobody named: the record led to them

    def connected(self, host: SiteHost) -> Connection | None:
        """Return the connection to a recorded host, where there is one."""
        return self.connections.get(host.address) or self.connections.get(host.internal)


def this_change(verb: str) -> Change:
    """Return who changes the record now, and when."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no name for this uid
        user = "?"
    return Change(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", f"{user}@{socket.gethostname()}"[:200], verb)


def find_site(connections: Mapping[str, Connection], reach: Reach, change: Change) -> Found:
    """Return the site that the connected hosts belong to; where none does, a Found without cluster and record.

    ``reach`` is asked for masters that a node knows. Raises ClusterError for hosts of several clusters, RecordError where
    there should be a record and none can be had, HostError.
    """
    found = Found(dict(connections), {}, Chosen(""))
    _look(found, tuple(connections))
    if found.record is None and found.chosen.cluster and not found.api:
        masters = tuple(Host(address, Role.MASTER) for address in found.chosen.masters if address not in found.connections)
        _follow(found, masters, reach)
    elif found.record is not None and not found.api:
        masters = tuple(host.reach for host in found.record.site.masters if found.connected(host) is None)
        _follow(found, masters, reach)
    if found.record is None and found.chosen.cluster:
        found.record = _made(found, change)
    _require_own(found)
    return found


def with_marks(facts: Mapping[str, HostFacts], found: Found) -> dict[str, HostFacts]:
    """Return ``facts`` with every host's membership as its mark, or proof that it is the record's own, tells it."""
    known = dict(facts)
    for address, each in facts.items():
        mark = found.marks.get(address, HostMark())
        cluster = mark.cluster
        if not cluster and found.record is not None and each.membership.joined and _proved(found, address):
            cluster = found.record.cluster
        bundle = ", ".join(mark.titles) or (found.record.site.titles if found.record is not None else "")
        known[address] = replace(each, membership=replace(each.membership, cluster=cluster, bundle=bundle if cluster else ""))
    return known


def _look(found: Found, addresses: tuple[str, ...]) -> None:
    """Read the marks of ``addresses``, look for an API that answers, and choose."""
    hosts = tuple(found.connections[address].host for address in addresses)
    found.marks |= for_each(hosts, lambda host: read_mark(found.connections[host.address]))
    one_cluster(found.marks)
    if not found.api:
        found.api = next((host.address for host in hosts if _may_ask(found, host) and _kubectl(found, host.address).api_ready()), "")
    in_cluster, unsound = None, None
    if found.api:
        try:
            in_cluster = record_in_cluster(_kubectl(found, found.api))
        except RecordError as error:
            unsound = error
    found.chosen = choose(found.marks, in_cluster)
    found.record = found.chosen.record
    if unsound is not None and (unsound.newer or found.record is None):
        raise unsound


def _require_own(found: Found) -> None:
    """A torn mark is healed on a host that the record has; on any other nobody can tell whose host it is."""
    if found.record is None:
        return
    known = {address for host in found.record.site.hosts for address in (host.address, host.internal)}
    for address, mark in found.marks.items():
        if mark.unsound is not None and not mark.cluster and address not in known:
            raise RecordError(
                f"{address}: {mark.unsound.problem}, and cluster {found.record.cluster} does not have this host: nobody can tell whose it is; nothing was changed",
                f"if the host is free: reset --node {address} --cluster unknown",
            )


def _may_ask(found: Found, host: Host) -> bool:
    mark = found.marks[host.address]
    if mark.identity is not None:
        return mark.identity.role is Role.MASTER
    return host.role is Role.MASTER


def _follow(found: Found, masters: tuple[Host, ...], reach: Reach) -> None:
    if not masters:
        return
    new = dict(reach(masters))
    found.connections |= new
    found.guides += new
    if new:
        _look(found, tuple(new))


def _made(found: Found, change: Change) -> SiteRecord | None:
    """Return a first record for a cluster that has none; None for one that was begun and is no cluster yet."""
    old = found.chosen.old or OldMark(found.chosen.cluster, "")
    if found.api:
        return record_from_cluster(_kubectl(found, found.api), old, change)
    for address, connection in found.connections.items():
        if connection.run(Command.of("test", "-e", KUBEADM.kubeconfig), check=False).ok:
            raise RecordError(
                f"{address} belongs to cluster {found.chosen.cluster}, there is no record of the site, and its API does not answer",
                "look there: journalctl -u kubelet; when the API answers run the same command again",
            )
    return None


def _proved(found: Found, address: str) -> bool:
    """Tell whether a host without a mark has the certificate authority that the record names."""
    authority = found.record.authority if found.record is not None else ""
    certificate = found.connections[address].read(KUBEADM.authority)
    if not authority or not certificate:
        return False
    try:
        return KUBEADM.authority_hash(certificate) == authority
    except ValueError:
        return False


def _kubectl(found: Found, address: str) -> Kubectl:
    return Kubectl(found.connections[address], KUBEADM.kubeconfig)
