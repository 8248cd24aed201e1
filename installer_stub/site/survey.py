"""From a command line to what this run works on: request, merge with the record, hosts, record to be. Changes nothing."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from installer_stub.bundle.model import BundleInfo
from installer_stub.errors import ClusterError, UsageError
from installer_stub.facts.directories import with_directories
from installer_stub.facts.gather import HostFacts, gather_all
from installer_stub.host.connection import Connection
from installer_stub.host.model import Host
from installer_stub.options import InstallOptions, Verb
from installer_stub.plan.decide import node_name
from installer_stub.site.find import Found, Reach, this_change, with_marks
from installer_stub.site.from_record import VALIDITY, FromRecord
from installer_stub.site.merge import Contradiction, SiteRequest, merge, requested_bundle
from installer_stub.site.model import Site, SiteHost, SiteRecord, Versions
from installer_stub.values.asked import Ask, asked
from installer_stub.values.model import Kept, Wished
from installer_stub.values.schema import NO_VALUES, Schema
from installer_stub.values.site_values import SiteValues, site_values
from installer_stub.values.store import GIVEN, decode_kept, new_salt
from installer_stub.version import VERSION

NONE_KEPT: Final = Kept()
NOTHING_WISHED: Final = Wished()


@dataclass(frozen=True, slots=True)
class Surveyed(FromRecord):
    """What this run works on. ``hosts`` in the site's order; ``connections`` and ``facts`` by their addresses.

    It is what ``decide.build_plan`` takes as choices.
    """

    before: SiteRecord | None
    hosts: tuple[Host, ...]
    connections: dict[str, Connection]
    facts: dict[str, HostFacts]
    absent: tuple[SiteHost, ...]  # hosts whose lists should follow, and that do not answer
    values: SiteValues


def survey(
    options: InstallOptions,
    bundle: BundleInfo,
    digest: str,
    found: Found,
    reach: Reach,
    *,
    schema: Schema = NO_VALUES,
    wished: Wished = NOTHING_WISHED,
    ask: Ask | None = None,
    publishers: tuple[str, ...] = (),
) -> Surveyed:
    """Return what the options mean for the site that was found, or for a new one.

    ``digest`` is the bundle's content digest; ``wished`` are its values that this run gives, ``ask`` how a person is asked for secrets that are
    missing, None where nobody is; ``publishers`` are fingerprints of the keys that signed it. Raises SiteContradiction, UsageError, ClusterError, HostError.
    """
    if found.record is None and (options.verb is Verb.JOIN or (options.via and not found.chosen.cluster)):
        names = ", ".join(host.address for host in (*options.via, *options.hosts))
        raise ClusterError(f"none of {names} belongs to a site that is installed; nothing was changed", "name a host of the site with --via; a new site is begun by install")
    named = {host.address: found.connections[host.address] for host in options.hosts}
    facts = with_marks(gather_all(named), found)
    request = request_of(options, facts, bundle, digest, publishers)
    site = merge(found.record, request, options.source)
    if isinstance(site, Contradiction):
        raise site.error()
    if not site.masters:
        raise UsageError("no master is named, and none of these hosts knows one", "add --master with the address of at least one host, or --via with a host of the site")
    values = _values(found, site, schema, wished, ask)
    if values.refused and found.record is not None:
        raise Contradiction(found.record.cluster, site.titles, values.refused, options.source).error()
    site = replace(site, settings=values.settings)
    hosts, absent = _working(options, site, found, reach)
    connections = {host.address: connection for host in hosts if (connection := found.connected(host)) is not None}
    further = {address: connection for address, connection in connections.items() if address not in facts}
    if further:
        facts |= with_marks(gather_all({c.host.address: c for c in further.values()}), found)
        facts = {**facts, **{address: facts[connection.host.address] for address, connection in further.items()}}
    facts = with_directories(facts, connections, site.settings)
    record = _record(found, site, bundle, options)
    return Surveyed(record, found.record, tuple(host.reach for host in hosts), connections, facts, absent, values)


def request_of(options: InstallOptions, facts: Mapping[str, HostFacts], bundle: BundleInfo, digest: str, publishers: tuple[str, ...] = ()) -> SiteRequest:
    """Return what the command line asks for; hosts get their names from their facts."""
    hosts = tuple(
        SiteHost(node_name(facts[host.address].hostname), host.role, host.address, host.internal or host.address, host.user, host.port)
        for host in options.hosts
    )
    told = () if options.certificate_validity is None else ((VALIDITY, str(options.certificate_validity)),)
    return SiteRequest(
        hosts,
        requested_bundle(bundle.name, bundle.version, digest, publishers),
        options.pod_cidr,
        options.service_cidr,
        endpoint="" if "endpoint" in options.dropped else str(options.access.endpoint) if options.access.endpoint is not None else None,
        sans=() if "san" in options.dropped else options.access.names or None,
        options=told,
        wishes=options.wishes,
        settings=options.settings,
        accepted=options.trust.accepted,
    )


def all_follow(before: Site, site: Site) -> bool:
    """Tell whether every host has something of what changed: lists of masters, the way to the API, containerd's configuration."""
    if {host.name for host in site.masters} != {host.name for host in before.masters}:
        return True
    # Values are the masters' business.
    now, then = (replace(each.settings, values=(), secrets=()) for each in (site, before))
    return (before.endpoint, before.sans, then) != (site.endpoint, site.sans, now)


def _values(found: Found, site: Site, schema: Schema, wished: Wished, ask: Ask | None) -> SiteValues:
    """Return the site's values. The secrets among them are read from a master that has those of the record."""
    kept = NONE_KEPT
    if site.settings.secrets:
        masters = (connection for host in site.masters if (connection := found.connected(host)) is not None)
        for connection in masters:
            raw = connection.read(GIVEN)
            there = decode_kept(raw, connection.host.address) if raw is not None else NONE_KEPT
            kept = max(kept, there, key=lambda each: len(set(each.marks()) & set(site.settings.secrets)))
    wished = asked(schema, site.settings, wished, kept, ask)
    return site_values(schema, site.settings, wished, kept, new_salt(), begun=found.record is not None)


def _working(options: InstallOptions, site: Site, found: Found, reach: Reach) -> tuple[tuple[SiteHost, ...], tuple[SiteHost, ...]]:
    """Return the hosts that this run works on, and those that should follow and do not answer.

    The named ones; of a site that stands at least one of its masters, through which all others join; and every host once
    the masters change, because each of them lists all masters.
    """
    addresses = {host.address for host in options.hosts}
    working = [host for host in site.hosts if host.address in addresses]
    before = found.record.site if found.record is not None else None
    if before is None:
        return tuple(working), ()
    recorded, waiting = {host.name for host in before.masters}, set(found.record.pending if found.record else ())
    if all_follow(before, site):
        waiting = {host.name for host in site.hosts}
    if waiting:
        others = tuple(host for host in site.hosts if host.name in waiting and host not in working)
        _reach(others, found, reach)
        working += [host for host in others if found.connected(host) is not None]
    if not any(host.name in recorded for host in working):
        masters = site.masters
        if not any(found.connected(host) is not None for host in masters):
            _reach(masters, found, reach)
        working += [host for host in masters if found.connected(host) is not None][:1]
    if not any(host.name in recorded for host in working):
        names = ", ".join(host.address for host in before.masters)
        raise ClusterError(f"none of the masters of cluster {found.chosen.cluster} answers: {names}", "see that one of them is up, and run again")
    working.sort(key=site.hosts.index)
    return tuple(working), tuple(host for host in site.hosts if host.name in waiting and host not in working)


def _reach(hosts: tuple[SiteHost, ...], found: Found, reach: Reach) -> None:
    missing = tuple(host.reach for host in hosts if found.connected(host) is None)
    if missing:
        new = dict(reach(missing))
        found.connections |= new
        found.guides += new


def _record(found: Found, site: Site, bundle: BundleInfo, options: InstallOptions) -> SiteRecord:
    change = this_change(options.verb.value)
    versions = Versions(bundle.kubernetes, VERSION)
    if found.record is None:
        return SiteRecord(found.chosen.cluster or secrets.token_hex(8), 1, "", site, versions, change)
    pending = {host.name for host in site.hosts} if all_follow(found.record.site, site) else found.record.pending
    return found.record.advanced(change, site=site, versions=versions, pending=pending)
