"""Site and SiteRecord: how a site is wanted, and what is installed there. Values; ``codec`` has their bytes.

A Site is what a command line or a Clusterfile, merged with the record, asks for. A SiteRecord is a Site with the facts of
its life: the cluster's id and authority, versions, and an epoch that grows by one with every change. Neither holds a secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from installer_stub.host.model import Host, Role
from installer_stub.plan.settings import AS_USUAL, Pairs, SiteSettings


class BundleState(StrEnum):
    """How far a bundle has come at a site."""

    INSTALLING = "installing"  # begun; the same command goes on
    INSTALLED = "installed"  # accepted


@dataclass(frozen=True, slots=True)
class InstalledBundle:
    """One bundle of a site. ``digest`` is its content's (``content_digest``); empty where an older release installed it.

    ``publishers`` are the fingerprints of the keys that signed its file, sorted: one of them must sign whatever comes next.
    """

    name: str
    version: str
    digest: str
    state: BundleState
    publishers: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Return ``name:version``."""
        return f"{self.name}:{self.version}"


@dataclass(frozen=True, slots=True)
class SiteHost:
    """One host of a site. ``name`` is its node's; ``address`` how the operator reaches it, ``internal`` how hosts do."""

    name: str
    role: Role
    address: str
    internal: str
    user: str = "root"
    port: int = 22
    labels: Pairs = ()
    taints: tuple[str, ...] = ()  # "key=value:Effect", as kubectl spells them
    env: Pairs = ()

    @property
    def reach(self) -> Host:
        """How to log in."""
        return Host(self.address, self.role, self.port, self.user, self.internal if self.internal != self.address else "")


@dataclass(frozen=True, slots=True)
class Networks:
    """The cluster's own address ranges, in their usual spelling."""

    pods: str
    services: str


@dataclass(frozen=True, slots=True)
class Site:
    """A site as it is wanted. Hosts in the order in which they came: the first master is where the cluster began."""

    hosts: tuple[SiteHost, ...]
    networks: Networks
    bundles: tuple[InstalledBundle, ...]
    endpoint: str = ""  # "host:port" of an external balancer or VIP; empty: a balancer on every node
    sans: tuple[str, ...] = ()  # further names in the API server's certificate
    options: Pairs = ()  # what else was chosen, by the option's name without dashes
    settings: SiteSettings = AS_USUAL

    @property
    def masters(self) -> tuple[SiteHost, ...]:
        """Hosts of the control plane."""
        return tuple(host for host in self.hosts if host.role is Role.MASTER)

    @property
    def nodes(self) -> tuple[SiteHost, ...]:
        """Workers."""
        return tuple(host for host in self.hosts if host.role is Role.NODE)

    @property
    def titles(self) -> str:
        """The bundles' titles, for a sentence."""
        return ", ".join(bundle.title for bundle in self.bundles) or "no bundle"

    def option(self, name: str) -> str | None:
        """Return what was chosen for an option, or None where nothing was."""
        return dict(self.options).get(name)

    def find(self, text: str) -> SiteHost | None:
        """Return the host of that name, address or internal address."""
        wanted = text.lower()
        return next((host for host in self.hosts if wanted in {host.name, host.address, host.internal}), None)

    def without(self, host: SiteHost) -> Site:
        """Return the site after ``host`` has left it."""
        return replace(self, hosts=tuple(other for other in self.hosts if other != host))


@dataclass(frozen=True, slots=True)
class Change:
    """Who changed the record last. ``at`` is ISO 8601 in UTC; ``by`` is user@machine of the operator; ``verb`` what was run."""

    at: str
    by: str
    verb: str


@dataclass(frozen=True, slots=True)
class Versions:
    """What the cluster runs and what put it there; empty where nobody knows yet."""

    kubernetes: str
    airseal: str


@dataclass(frozen=True, slots=True)
class SiteRecord:
    """What is installed. ``authority`` is "sha256:…" of the cluster CA's public key, empty until there is one.

    ``pending`` names the hosts that have not heard of the present masters: they were silent, or the run was cut. Every
    later run tries to reach them.
    """

    cluster: str
    epoch: int
    authority: str
    site: Site
    versions: Versions
    changed: Change
    pending: tuple[str, ...] = ()  # sorted

    def advanced(
        self,
        change: Change,
        *,
        site: Site | None = None,
        authority: str = "",
        versions: Versions | None = None,
        pending: Iterable[str] | None = None,
    ) -> SiteRecord:
        """Return the record of the next epoch, or this one itself where nothing differs."""
        waiting = self.pending if pending is None else pending
        new = replace(
            self,
            site=site or self.site,
            authority=authority or self.authority,
            versions=versions or self.versions,
            pending=tuple(sorted({host.name for host in (site or self.site).hosts} & set(waiting))),
        )
        return self if new == self else replace(new, epoch=self.epoch + 1, changed=change)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a host knows of its site: whose it is, what it is there, and where the record can be read."""

    cluster: str
    bundles: tuple[str, ...]  # their titles
    name: str
    role: Role
    masters: tuple[str, ...]  # the addresses at which hosts reach them
