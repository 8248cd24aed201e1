"""Whose are these hosts, before something is taken from them: the words of the question, and the refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from installer_stub.errors import ClusterError, Interrupted, RecordError, UsageError
from installer_stub.facts.gather import HostFacts
from installer_stub.host.connection import Connection
from installer_stub.host.model import Host
from installer_stub.options import POD_CIDR, SERVICE_CIDR, InstallOptions
from installer_stub.site.choose import Chosen
from installer_stub.site.find import Found, find_site, this_change
from installer_stub.site.model import SiteRecord
from installer_stub.site.store import HostMark, read_mark
from installer_stub.ui import prompts

UNKNOWN = "unknown"  # the id of a cluster whose every mark is torn


@dataclass(frozen=True, slots=True)
class ResetChoices:
    """What an undo needs of a plan: its hosts. Networks are undone as they were journalled."""

    hosts: tuple[Host, ...]
    pod_cidr: str = POD_CIDR
    service_cidr: str = SERVICE_CIDR


def whose(connections: Mapping[str, Connection]) -> Found:
    """Return what the hosts say of their site. A record that cannot be read leaves its cluster's id, or ``UNKNOWN``.

    Raises ClusterError for hosts of several clusters, HostError.
    """
    try:
        return find_site(connections, lambda _hosts: {}, this_change("reset"))
    except RecordError:
        marks = {address: read_mark(connection) for address, connection in connections.items()}
        known = next((mark.cluster for mark in marks.values() if mark.cluster), UNKNOWN)
        return Found(dict(connections), marks, Chosen(known))


def ours_only(hosts: Sequence[Host], facts: Mapping[str, HostFacts], marks: Mapping[str, HostMark] | None = None) -> tuple[Host, ...]:
    """Return the hosts that carry our mark, sound or torn. Raises ClusterError for one in a cluster we did not make."""
    torn = {address for address, mark in (marks or {}).items() if mark.unsound is not None}
    known = [host for host in hosts if host.address in facts]
    ours = tuple(host for host in known if facts[host.address].membership.ours or host.address in torn)
    foreign = [host.address for host in known if facts[host.address].membership.joined and host not in ours]
    if foreign:
        raise ClusterError(
            f"{', '.join(foreign)}: in a cluster that airseal did not install",
            "leave these hosts out; what others installed is not ours to remove",
        )
    return ours


def agree(options: InstallOptions, bundle: str, found: Found, hosts: Sequence[Host]) -> None:
    """Return if ``hosts`` may be reset: it is this file's cluster, or the one named, and somebody said yes.

    Raises ClusterError for another file's cluster and for a part of a control plane, UsageError where nobody can be asked,
    Interrupted for a no.
    """
    if not hosts:
        return
    cluster, record = found.chosen.cluster, found.record
    titles = _titles(found)
    if options.cluster != cluster:
        _refuse_foreign(options, bundle, cluster, found)
    if record is not None:
        # All that are named: one that an earlier reset has already finished is not left out.
        _refuse_part(record, options.hosts)
    if options.yes:
        return
    if not prompts.is_interactive():
        raise UsageError(f"reset removes cluster {cluster} ({titles}) and its data, and nobody can be asked here", "add --yes")
    names = ", ".join(host.address for host in hosts)
    question = f"Remove cluster {cluster} ({titles}) from {names}? Volumes on the hosts' own disks stay."
    if not prompts.confirm(question):
        raise Interrupted("nothing was changed")


def _titles(found: Found) -> str:
    return ", ".join(_known(found)) or "application unknown"


def _known(found: Found) -> tuple[str, ...]:
    if found.record is not None:
        return tuple(bundle.title for bundle in found.record.site.bundles)
    return tuple(dict.fromkeys(title for mark in found.marks.values() for title in mark.titles))


def _refuse_foreign(options: InstallOptions, bundle: str, cluster: str, found: Found) -> None:
    if options.cluster:
        raise ClusterError(f"these hosts belong to cluster {cluster} ({_titles(found)}), not to {options.cluster}; nothing was changed", "name the cluster that is meant")
    # A title that is not known is none of this file's: every mark of ours names them, but for torn ones.
    names = {title.rpartition(":")[0] for title in _known(found)}
    if bundle not in names:
        raise ClusterError(
            f"these hosts belong to cluster {cluster} ({_titles(found)}), and this file is {bundle}; nothing was changed",
            f"use the file that installed them; if it is lost and that cluster is meant, add --cluster {cluster}",
        )


def _refuse_part(record: SiteRecord, hosts: Sequence[Host]) -> None:
    """A master that leaves without a word takes its vote along; the others may stand still. ``remove`` does it in order."""
    named = {host.address for host in hosts}
    members = record.site.masters
    going = [host for host in members if named & {host.address, host.internal}]
    staying = [host for host in members if host not in going]
    if going and staying:
        via = staying[0].address
        raise ClusterError(
            f"{', '.join(host.address for host in going)} and {', '.join(host.address for host in staying)} are masters of one cluster, "
            f"{record.cluster} ({record.site.titles}); only some of them are named; nothing was changed",
            f"name all hosts of the cluster, or take one out: remove {going[0].name} --via {via}",
        )
