"""Will they reach each other: ports, address ranges, firewalls, nameservers."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from installer_stub.distro.balancer import HEALTH_PORT
from installer_stub.host.model import Role
from installer_stub.plan.model import API_PORT
from installer_stub.preflight.finding import Finding, Site, fatal, note, warning

KUBELET, ETCD_CLIENT, ETCD_PEER, CONTROLLER_MANAGER, SCHEDULER = 10250, 2379, 2380, 10257, 10259
KUBELET_HEALTH, PROXY_METRICS, PROXY_HEALTH = 10248, 10249, 10256
EVERYWHERE = frozenset({KUBELET, KUBELET_HEALTH, PROXY_METRICS, PROXY_HEALTH})
ON_MASTERS = EVERYWHERE | {API_PORT, ETCD_CLIENT, ETCD_PEER, CONTROLLER_MANAGER, SCHEDULER}
ON_BALANCED = frozenset({API_PORT, HEALTH_PORT})  # of a node: on the loopback address only
# What other hosts must reach. VXLAN is flannel's and calico's way between hosts.
OPEN_ON_MASTERS = f"tcp {API_PORT}, {ETCD_CLIENT}-{ETCD_PEER}, {KUBELET}"
OPEN_EVERYWHERE = f"tcp {KUBELET}; udp 8472 and 4789 (pod network)"


def ports(site: Site) -> Iterator[Finding]:
    """Ours must be free, except where we hold them already."""
    for host, facts in site.each():
        if facts.membership.ours:
            continue
        wanted = ON_MASTERS | {site.settings.registry_port} if host.role is Role.MASTER else EVERYWHERE | (ON_BALANCED if site.bundle.balancer else frozenset())
        taken = sorted(wanted & facts.listening)
        if taken:
            listed = ", ".join(map(str, taken))
            yield fatal(
                host.address,
                f"port {listed} is in use by another program" if len(taken) == 1 else f"ports {listed} are in use by other programs",
                f"see 'ss -ltnp sport = :{taken[0]}' there and stop what uses it",
            )


def ranges(site: Site) -> Iterator[Finding]:
    """Pod and Service addresses must mean nothing else to any host."""
    pods, services = ip_network(site.pod_cidr, strict=False), ip_network(site.service_cidr, strict=False)
    if pods.overlaps(services):
        yield fatal("", f"pod network {pods} and service network {services} overlap", "choose others with --pod-cidr, --service-cidr")
    for host, facts in site.each():
        if facts.membership.ours:
            continue  # its routes to the pod network are ours
        for network, what, option in ((pods, "pod", "--pod-cidr"), (services, "service", "--service-cidr")):
            inside = [address for address in facts.addresses if ip_address(address) in network]
            routed = [str(route) for route in facts.routes.networks if route.version == network.version and route.overlaps(network)]
            if inside or routed:
                yield fatal(
                    host.address,
                    f"the {what} network {network} overlaps its own {', '.join(inside or routed)}",
                    f"choose another range with {option}",
                )


def firewalls(site: Site) -> Iterator[Finding]:
    """A firewall stays on; whoever runs it has to know what goes through."""
    for host, facts in site.each():
        names = [name for name, on in (("firewalld", facts.firewalls.firewalld), ("ufw", facts.firewalls.ufw)) if on]
        for name in names:
            doors = f"{OPEN_ON_MASTERS}, {site.settings.registry_port}; {OPEN_EVERYWHERE}" if host.role is Role.MASTER else OPEN_EVERYWHERE
            allow = f"firewall-cmd --permanent --zone=trusted --add-source={site.pod_cidr}" if name == "firewalld" else f"ufw allow from {site.pod_cidr}"
            yield warning(
                host.address,
                f"{name} is active, and stays so",
                f"open to the other hosts: {doors}; and let pods through: {allow}",
            )


def nameservers(site: Site) -> Iterator[Finding]:
    """Without a usable nameserver the cluster's DNS answers for the cluster alone."""
    for host, facts in site.each():
        if facts.resolv_conf is not None:
            continue
        servers = [server for conf in facts.resolv_confs for server in conf.nameservers]
        why = f"only the loopback nameserver {servers[0]}" if servers else "no nameserver"
        yield note(host.address, f"it has {why}: the cluster's DNS will not forward other names, as that would kill it")


def default_routes(site: Site) -> Iterator[Finding]:
    """Not a fault: Services get a route of their own on every host. But whoever looks for another machine should know."""
    for host, facts in site.each():
        if not facts.default_route:
            yield note(host.address, "it has no default route: nothing is reached from it but the hosts of its networks and the cluster")

