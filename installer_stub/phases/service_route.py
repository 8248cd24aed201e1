"""A route of its own for the cluster's services, on every host, out of the interface that has the node's address.

A process on a host that calls a Service's address is looked up in the routing table before kube-proxy rewrites the
address. Where there is no default route it ends with "network is unreachable", and so do flannel, the API server's
webhooks and every other pod on the host's network. Where there is one, calls to a Service that kube-proxy does not know
yet go to the site's gateway: seen, and nothing may leave. k3s and RKE2 tell operators to add a dummy default route, which
changes where all other packets go; a route for the services' range alone is enough, and ends on the hosts' own network.
"""

from __future__ import annotations

from typing import Final

from installer_stub.distro.units import PATH
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.phases.journal import Journal, Kind
from installer_stub.plan import HostPlan, Plan

UNIT: Final = "airseal-service-route.service"
UNIT_FILE: Final = f"/etc/systemd/system/{UNIT}"

# The interface is found anew at every start: its name may change, the node's address does not.
_TEXT: Final = """\
# Made by airseal.
[Unit]
Description=airseal: a route to the cluster's services
Wants=network-online.target
After=network-online.target
Before=kubelet.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
Environment=PATH={path}
ExecStart=/bin/sh -ec 'set -- $(ip -o -{family} addr show to {address}); ip -{family} route replace {services} dev "$2" src {address}'
ExecStop=-/bin/sh -c 'ip -{family} route del {services} src {address}'

[Install]
WantedBy=multi-user.target
"""


def unit_text(plan: Plan, host: HostPlan) -> str:
    """Return the unit. ``set --`` splits ``2: eth0 inet 10.0.0.2/24 …``, so ``$2`` is the interface."""
    return _TEXT.format(
        path=PATH, family=6 if ":" in host.address else 4, address=host.address, services=plan.service_cidr
    ).replace("$(", "$$(").replace('"$2"', '"$$2"')  # systemd expands $ itself; $$ is one for the shell


def has_route(plan: Plan, host: HostPlan, connection: Connection) -> bool:
    """Tell whether the host has the route, and will have it after a restart."""
    enabled = connection.run(Command.of("systemctl", "is-enabled", "--quiet", UNIT), check=False)
    active = connection.run(Command.of("systemctl", "is-active", "--quiet", UNIT), check=False)
    return enabled.ok and active.ok and connection.read(UNIT_FILE) == unit_text(plan, host).encode()


def add_route(plan: Plan, host: HostPlan, connection: Connection, journal: Journal) -> None:
    """Add the route now and for every start of the host. The journal takes the unit away again."""
    if has_route(plan, host, connection):
        return
    journal.remember((Kind.FILE, UNIT_FILE), (Kind.UNIT, UNIT))
    journal.write(UNIT_FILE, unit_text(plan, host))
    script = f"systemctl daemon-reload; systemctl enable {UNIT}; systemctl restart {UNIT}"
    connection.run(Command.shell(script, changes="add a route to the cluster's services"))
