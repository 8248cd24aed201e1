"""Plan: every decision of an installation, made purely from options, facts and bundle before anything changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from installer_stub.bundle.model import BundleInfo
from installer_stub.host.model import Role
from installer_stub.plan.settings import AS_USUAL, Pairs, SiteSettings

# Under this name, through /etc/hosts, a host reaches the API while it joins. After that nothing needs it: docs/adr/0014.
API_NAME: Final = "api.airseal.internal"
API_PORT: Final = 6443
# What components find the API under: on masters their own API server, on nodes the load balancer there.
LOCAL_API: Final = f"https://127.0.0.1:{API_PORT}"
JOIN_API: Final = f"https://{API_NAME}:{API_PORT}"  # kubeadm puts it into every file that it makes
STATE: Final = "/var/lib/airseal"
_DAY: Final = 24 * 3600
# Renewed at half of its life (docs/adr/0015): a cluster that is switched off always has a year and a half left.
CERTIFICATE_VALIDITY: Final = 3 * 365 * _DAY
AUTHORITY_VALIDITY: Final = 30 * 365 * _DAY  # nothing renews a cluster's CA, so it has to outlive the site
BUNDLES: Final = f"{STATE}/bundles"  # on every master: the artifacts that its registry serves, for root alone
HOME: Final = f"{STATE}/home"  # of every command of ours: what kubectl and helm cache there goes with us
OPT: Final = "/opt/airseal"
STUB: Final = f"{OPT}/bin/airseal"
LINKS: Final = (("bin", "/usr/local/bin"), ("cni", "/opt/cni/bin"))  # cluster files of a directory get a name in another
REGISTRY_CA: Final = "/etc/airseal/ca.crt"  # on every host: the authorities by which the site registry is trusted
REGISTRY_AUTHORITY: Final = f"{STATE}/registry-authority"  # on every master, for root alone: that CA with its key
REGISTRY_CERTIFICATE: Final = "/etc/airseal/registry.crt"  # on every master
REGISTRY_KEY: Final = "/etc/airseal/registry.key"  # on every master, for root alone; it never leaves it
CREDENTIAL: Final = "/etc/airseal/registry.credential"  # on every host, for root alone: the site registry's user:password


def in_url(address: str) -> str:
    """Return an address as URLs have it: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of the API that the site provides: a load balancer or a virtual address in front of the masters."""

    host: str
    port: int = API_PORT

    @property
    def url(self) -> str:
        """Return what kubeconfigs name."""
        return f"https://{in_url(self.host)}:{self.port}"

    def __str__(self) -> str:
        return f"{in_url(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Access:
    """How the API is reached from outside the masters, where the site has a say in it."""

    endpoint: Endpoint | None = None
    names: tuple[str, ...] = ()  # more names and addresses that the API servers' certificates are for

    @property
    def sans(self) -> tuple[str, ...]:
        """Return everything that the certificates have to name for it."""
        return tuple(dict.fromkeys((*((self.endpoint.host,) if self.endpoint else ()), *self.names)))


BY_ITSELF: Final = Access()


@dataclass(frozen=True, slots=True)
class HostPlan:
    """What one host will be. Every field that deals with a trap says which fact decides it."""

    address: str  # as the operator reaches it
    name: str  # Kubernetes node name: the host's own, lower case
    role: Role
    cgroup_driver: str  # "systemd" on cgroup v2, "cgroupfs" on v1
    cgroup_v1: bool  # kubelet >= 1.35 must be told
    restrict_oom_score: bool  # the host lacks CAP_SYS_RESOURCE: runc may not lower oom_score_adj
    conntrack_fixed: bool  # nf_conntrack_max cannot be set: kube-proxy must leave it
    resolv_conf: str | None  # a resolv.conf without loopback nameservers; None: there is no usable nameserver
    default_route: bool
    swap: bool
    internal_address: str = ""  # as other hosts reach it, where that is another one
    env: Pairs = ()  # environment of its containerd and kubelet

    @property
    def internal(self) -> str:
        """How other hosts reach it: what clusters, certificates and lists name."""
        return self.internal_address or self.address


@dataclass(frozen=True, slots=True)
class Member:
    """A host of the site as the others know it: enough to be listed, also where this run does not work on it."""

    address: str  # as hosts reach it
    name: str
    role: Role
    reach: str = ""  # as the operator reaches it, where that is another address


@dataclass(frozen=True, slots=True)
class ImageSource:
    """Where hosts pull from: the site's masters, or the recording proxy of a build.

    Both paths are on the hosts. A plan names the file of the login and never holds the login: plans are printed.
    """

    endpoints: tuple[str, ...]  # "https://10.0.0.2:5443"
    ca_path: str = ""
    credential_path: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole installation: ``hosts`` are those that this run works on, ``members`` all of the site in its own order.

    The first master is where the cluster begins, or one that is in it. What a host has of others (registries, balancers,
    names in certificates) comes from ``site_masters``: a host that a command line leaves out stays in the site.
    """

    bundle: BundleInfo
    hosts: tuple[HostPlan, ...]
    pod_cidr: str
    service_cidr: str
    recording: bool  # a build: images come from the recording proxy, there is no artifact yet
    images: ImageSource
    certificate_validity: int = CERTIFICATE_VALIDITY  # seconds, of every certificate but the CAs'
    access: Access = BY_ITSELF
    members: tuple[Member, ...] = ()  # empty: ``hosts`` are all
    settings: SiteSettings = AS_USUAL
    values: Pairs = ()  # environment variables of the values that are no secrets
    values_identity: str = ""  # changes with any value, and tells nothing of a secret

    @property
    def node_api(self) -> str:
        """Where kubelet and kube-proxy of a node find the API: the site's endpoint, the balancer there, or the name's one master."""
        if self.access.endpoint is not None:
            return self.access.endpoint.url
        return LOCAL_API if self.bundle.balancer else JOIN_API

    @property
    def masters(self) -> tuple[HostPlan, ...]:
        """Hosts of the control plane, in the operator's order."""
        return tuple(host for host in self.hosts if host.role is Role.MASTER)

    @property
    def nodes(self) -> tuple[HostPlan, ...]:
        """Workers, in the operator's order."""
        return tuple(host for host in self.hosts if host.role is Role.NODE)

    @property
    def site(self) -> tuple[Member, ...]:
        """All hosts of the site, in its own order."""
        return self.members or tuple(Member(host.internal, host.name, host.role, host.address) for host in self.hosts)

    @property
    def site_masters(self) -> tuple[Member, ...]:
        """The site's masters, also those that this run does not work on."""
        return tuple(member for member in self.site if member.role is Role.MASTER)

    @property
    def site_nodes(self) -> tuple[Member, ...]:
        """The site's workers, also those that this run does not work on."""
        return tuple(member for member in self.site if member.role is Role.NODE)

    def position(self, host: HostPlan) -> int:
        """Return the place of ``host`` in the site: the same in every run, whichever hosts it names."""
        return next((place for place, member in enumerate(self.site) if member.name == host.name), 0)

    @property
    def dns_forwarding(self) -> bool:
        """Whether CoreDNS may forward: only where every host has a nameserver that is not itself (it dies otherwise)."""
        return all(host.resolv_conf is not None for host in self.hosts)

    @property
    def cluster_directory(self) -> str:
        """Where the cluster files stand on every host."""
        return f"{OPT}/{self.bundle.file_stem}"

    @property
    def bundle_path(self) -> str:
        """Where a master keeps the artifact."""
        return f"{BUNDLES}/{self.bundle.file_stem}.run"
