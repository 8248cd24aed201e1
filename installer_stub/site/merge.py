"""merge: the record and a request make a Site, or a Contradiction. Pure.

A request with fewer words is safe: what it does not say comes from the record, and a host it does not name stays. What it
says otherwise than the record is never a change by accident; it is shown as a difference, and nothing is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from installer_stub.errors import SiteContradiction
from installer_stub.options import POD_CIDR, SERVICE_CIDR, UNSIGNED, HostWishes
from installer_stub.plan.settings import AS_USUAL, CONTAINERD, NOTHING_SAID, Pairs, SiteSettings, SiteWishes
from installer_stub.site.model import (
    BundleState,
    InstalledBundle,
    Networks,
    Site,
    SiteHost,
    SiteRecord,
)
from installer_stub.ui.summary import table


@dataclass(frozen=True, slots=True)
class SiteRequest:
    """What a command line or a Clusterfile asks for. None, and an option not listed: nothing was said about it."""

    hosts: tuple[SiteHost, ...]
    bundle: InstalledBundle
    pods: str | None = None
    services: str | None = None
    endpoint: str | None = None
    sans: tuple[str, ...] | None = None
    options: Pairs = ()
    wishes: tuple[tuple[str, HostWishes], ...] = ()  # by the hosts' addresses
    settings: SiteWishes = NOTHING_SAID
    accepted: str = ""  # the fingerprint of a publisher who signs in place of the recorded ones, or UNSIGNED


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing about which record and request disagree."""

    option: str
    recorded: str
    requested: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Contradiction:
    """All of them. ``source`` names where the request was written: "command line", a file."""

    cluster: str
    titles: str
    differences: tuple[Difference, ...]
    source: str = "command line"

    def error(self) -> SiteContradiction:
        """Return the error that shows them all, as a table."""
        rows = [(each.option, f"record says {each.recorded}", f"{self.source} says {each.requested}") for each in self.differences]
        lines = "\n".join(f"  {line}" for line in table(rows).splitlines())
        where = f"cluster {self.cluster} has {self.titles}"
        problem = f"the {self.source} contradicts the record of this site ({where}); nothing was changed:\n{lines}"
        return SiteContradiction(problem, "; ".join(dict.fromkeys(each.remedy for each in self.differences)))


# Options that are for what comes next, and change nothing that is there.
_FREE = frozenset({"certificate-validity"})


def merge(record: SiteRecord | None, request: SiteRequest, source: str = "command line") -> Site | Contradiction:
    """Return the site that ``request`` means where ``record`` stands. Without a record the request is the site."""
    if record is None:
        networks = Networks(request.pods or POD_CIDR, request.services or SERVICE_CIDR)
        hosts = tuple(_wished(host, host, request) for host in request.hosts)
        return Site(hosts, networks, (request.bundle,), request.endpoint or "", request.sans or (), request.options, AS_USUAL.with_wishes(request.settings))
    draft = _Draft(record)
    differences = (*_bundles(draft, request), *_settings(draft, request), *_hosts(draft, request))
    if differences:
        return Contradiction(record.cluster, record.site.titles, differences, source)
    return draft.site


@dataclass(slots=True)
class _Draft:
    """The site as far as it is merged."""

    record: SiteRecord
    site: Site = field(init=False)

    def __post_init__(self) -> None:
        self.site = self.record.site


def _bundles(draft: _Draft, request: SiteRequest) -> Iterator[Difference]:
    asked = request.bundle
    known = next((each for each in draft.site.bundles if each.name == asked.name), None)
    if known is None:
        if draft.site.bundles:
            remedy = "a second bundle on one cluster is not possible yet; run the file that this cluster was installed with"
            yield Difference("bundle", draft.site.titles, asked.title, remedy)
        else:
            draft.site = replace(draft.site, bundles=(asked,))
    elif known.version and known.version != asked.version:
        remedy = f"an upgrade is not possible yet; run the file of {known.title}"
        yield Difference("version", known.title, asked.title, remedy)
    elif known.digest and known.digest != asked.digest:
        remedy = f"both are called {known.title}, and they hold other things; run the file that was installed, an upgrade is not possible yet"
        yield Difference("content", _short(known.digest), _short(asked.digest), remedy)
    elif (difference := _publisher(known, asked, request.accepted)) is not None:
        yield difference
    else:
        # An older release did not write the digest down; and who signs now vouches for what comes next.
        learned = replace(known, version=asked.version, digest=asked.digest, publishers=asked.publishers)
        draft.site = replace(draft.site, bundles=tuple(learned if each is known else each for each in draft.site.bundles))


def _publisher(known: InstalledBundle, asked: InstalledBundle, accepted: str) -> Difference | None:
    """Return why another publisher's file is refused; None where one of those signed it who signed what is installed.

    A file with the signatures of the old key and of a new one hands over: the site then remembers both.
    """
    signed = ", ".join(asked.publishers) or UNSIGNED
    if not known.publishers or set(known.publishers) & set(asked.publishers) or accepted in (asked.publishers or (UNSIGNED,)):
        return None
    remedy = f"get the file from who signed what is installed. If they have another key now: a file that both keys signed is taken; otherwise ask them for it by another way, and say --accept-publisher {signed.partition(',')[0]}"
    return Difference("publisher", ", ".join(known.publishers), signed, remedy)


def _settings(draft: _Draft, request: SiteRequest) -> Iterator[Difference]:
    site = draft.site
    told = (
        ("--pod-cidr", site.networks.pods, request.pods),
        ("--service-cidr", site.networks.services, request.services),
    )
    for option, recorded, requested in told:
        if requested is not None and requested != recorded:
            yield Difference(option, recorded or "nothing", requested or "nothing", f"leave {option} out: a cluster keeps it for life")
    options = dict(site.options)
    for name, value in request.options:
        if name in options and options[name] != value and name not in _FREE:
            yield Difference(f"--{name}", options[name], value, f"leave --{name} out: what is recorded stays")
        else:
            options[name] = value
    wanted = site.settings.with_wishes(request.settings)
    yield from _kept(site.settings, wanted)
    draft.site = replace(site, options=tuple(sorted(options.items())), settings=wanted)
    # The certificates and the way to the API follow these two (phases/name_api.py, phases/balance.py).
    endpoint = site.endpoint if request.endpoint is None else request.endpoint
    draft.site = replace(draft.site, endpoint=endpoint, sans=site.sans if request.sans is None else request.sans)


def _kept(recorded: SiteSettings, wanted: SiteSettings) -> Iterator[Difference]:
    """Return what a cluster keeps for life. The commands' environment and containerd's additions may change at any time."""
    told = [("registry.port", str(recorded.registry_port), str(wanted.registry_port))]
    for section, before, after in (
        ("dataDirectories", dict(recorded.directories), dict(wanted.directories)),
        ("patches", dict(recorded.patches), dict(wanted.patches)),
    ):
        names = sorted({*before, *after} - ({CONTAINERD} if section == "patches" else set()))
        told += [(f"{section}.{name}", before.get(name, ""), after.get(name, "")) for name in names]
    for name, before_text, after_text in told:
        if before_text != after_text:
            yield Difference(name, before_text or "nothing", after_text or "nothing", f"leave {name} as it is recorded: a cluster keeps it for life")


def _hosts(draft: _Draft, request: SiteRequest) -> Iterator[Difference]:
    for host in request.hosts:
        known = _same(draft.site, host)
        if known is None:
            holder = next((each for each in draft.site.hosts if each.name == host.name), None)
            if holder is not None:
                remedy = f"give {host.address} a name of its own: hostnamectl set-hostname NAME there. Only if {holder.name} at {holder.internal} is gone for good: remove --lost {holder.name} --via {_another(draft.site, holder)}"
                yield Difference(f"name {host.name}", holder.internal, host.internal, remedy)
                continue
            draft.site = replace(draft.site, hosts=(*draft.site.hosts, _wished(host, host, request)))
        elif known.role is not host.role:
            remedy = f"a host keeps its role; to change it take it out and let it join: remove {known.name} --via {_another(draft.site, known)}"
            yield Difference(f"role of {host.address}", known.role.value, host.role.value, remedy)
        elif host.name and known.name != host.name:
            remedy = f"a node keeps its name: hostnamectl set-hostname {known.name} on {host.address}"
            yield Difference(f"name of {host.address}", known.name, host.name, remedy)
        else:
            updated = _wished(replace(known, address=host.address, user=host.user, port=host.port), host, request)
            draft.site = replace(draft.site, hosts=tuple(updated if each is known else each for each in draft.site.hosts))


def _wished(known: SiteHost, host: SiteHost, request: SiteRequest) -> SiteHost:
    """Return ``known`` with what the request wants of ``host``; what it says nothing about stays."""
    wishes = dict(request.wishes).get(host.address, HostWishes())
    return replace(
        known,
        labels=known.labels if wishes.labels is None else wishes.labels,
        taints=known.taints if wishes.taints is None else wishes.taints,
        env=known.env if wishes.env is None else wishes.env,
    )


def _same(site: Site, host: SiteHost) -> SiteHost | None:
    """Return the recorded host at the same address, as hosts or as the operator reach it."""
    for what in ("internal", "address"):
        found = next((each for each in site.hosts if getattr(each, what) == getattr(host, what)), None)
        if found is not None:
            return found
    return None


def _another(site: Site, host: SiteHost) -> str:
    """Return a master that is not ``host``, for a remedy."""
    return next((each.address for each in site.masters if each.name != host.name), "MASTER")


def _short(digest: str) -> str:
    return digest[:19]


def requested_bundle(name: str, version: str, digest: str, publishers: tuple[str, ...] = ()) -> InstalledBundle:
    """Return the bundle of this run, not installed yet. ``publishers`` are fingerprints of the keys that signed it."""
    return InstalledBundle(name, version, digest, BundleState.INSTALLING, publishers)
