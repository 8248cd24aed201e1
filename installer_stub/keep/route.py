"""A route of its own for the cluster's services, out of the interface that has the node's address (docs/adr/0007).

A process on a host that calls a Service's address is looked up in the routing table before kube-proxy rewrites the
address. Where there is no default route it ends with "network is unreachable", and so do flannel, the API server's
webhooks and every other pod on the host's network. Where there is one, calls to a Service that kube-proxy does not know
yet go to the site's gateway: seen, and nothing may leave. k3s and RKE2 tell operators to add a dummy default route, which
changes where all other packets go; a route for the services' range alone is enough, and ends on the hosts' own network.

The interface is found anew each time: its name may change, the node's address does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import ip_address, ip_network

from installer_stub.keep import rtnetlink
from installer_stub.keep.document import HostDocument
from installer_stub.keep.report import Failure, Report
from installer_stub.keep.rtnetlink import Route


def keep_route(
    document: HostDocument,
    report: Report,
    *,
    look_only: bool,
    wait: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Add the route. At boot the address may come later than we do: it is waited for, ``wait`` seconds at most."""
    what = f"route to {document.services}"
    source, network = ip_address(document.address), ip_network(document.services)
    if source.version != network.version:
        return  # the services are not reached by way of this address
    try:
        deadline = clock() + wait
        while (interface := rtnetlink.interface_of(source)) is None and clock() < deadline:
            sleep(0.5)
        if interface is None:
            _missing(report, what, f"no interface has the address {source}", look_only=look_only)
            return
        wanted = Route(network, interface, source)
        if wanted in rtnetlink.routes_to(network):
            return
    except OSError as error:
        _missing(report, what, f"the kernel's routes cannot be read: {error.strerror or error}", look_only=look_only)
        return
    report.settle(what, lambda: rtnetlink.set_route(wanted), look_only=look_only)


def release_route(document: HostDocument) -> None:
    """Take the route away; others to the same network stay. Raises OSError."""
    source, network = ip_address(document.address), ip_network(document.services)
    for route in rtnetlink.routes_to(network):
        if route.source == source:
            rtnetlink.delete_route(route)


def _missing(report: Report, what: str, why: str, *, look_only: bool) -> None:
    if look_only:
        report.differs.append(f"{what}: {why}")
    else:
        report.failed.append(Failure(what, why))
