"""What a plan takes from the site's record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from installer_stub.options import parse_access
from installer_stub.plan.model import BY_ITSELF, CERTIFICATE_VALIDITY, Access, Member
from installer_stub.plan.settings import Pairs, SiteSettings
from installer_stub.site.model import Site, SiteRecord

VALIDITY: Final = "certificate-validity"


@dataclass(frozen=True, slots=True)
class FromRecord:
    """The part of ``decide.build_plan``'s choices that a record makes."""

    record: SiteRecord  # as it is to be; its epoch is the one on the hosts where nothing differs

    @property
    def site(self) -> Site:
        """The site as it is wanted."""
        return self.record.site

    @property
    def pod_cidr(self) -> str:
        """Network of the pods."""
        return self.site.networks.pods

    @property
    def service_cidr(self) -> str:
        """Network of the Services."""
        return self.site.networks.services

    @property
    def members(self) -> tuple[Member, ...]:
        """All hosts of the site, for the plan."""
        return tuple(Member(host.internal, host.name, host.role, host.address) for host in self.site.hosts)

    @property
    def access(self) -> Access:
        """How the API is reached from outside the masters."""
        found = parse_access(self.site.endpoint or None, self.site.sans)
        return found if found.endpoint or found.names else BY_ITSELF

    @property
    def settings(self) -> SiteSettings:
        """What else the site wants of itself."""
        return self.site.settings

    @property
    def env(self) -> dict[str, Pairs]:
        """Environment of containerd and kubelet, by the hosts' addresses."""
        return {host.address: host.env for host in self.site.hosts if host.env}

    @property
    def certificate_validity(self) -> int:
        """Seconds."""
        return int(self.site.option(VALIDITY) or CERTIFICATE_VALIDITY)
