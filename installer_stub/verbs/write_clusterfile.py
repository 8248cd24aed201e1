"""``init``: a Clusterfile from the command line's own words, or from the record of a site that is installed."""

from __future__ import annotations

import sys
from pathlib import Path

from installer_stub.clusterfile.render import render
from installer_stub.errors import UsageError
from installer_stub.host.model import Host, Role
from installer_stub.options import HostWishes, InstallOptions
from installer_stub.site.from_record import VALIDITY
from installer_stub.verbs.open_site import open_site
from installer_stub.verbs.session import session


def of_options(options: InstallOptions) -> str:
    """Return the file that asks for what the options do; without a host, for one that has to be filled in."""
    hosts = options.hosts or (Host("10.0.0.2", Role.MASTER), Host("10.0.0.5", Role.NODE))
    return render(
        hosts,
        pods=options.pod_cidr,
        services=options.service_cidr,
        endpoint=str(options.access.endpoint or ""),
        sans=options.access.names,
        validity=options.certificate_validity,
        prog=_prog(),
        file=str(options.output or "Clusterfile"),
    )


def of_site(options: InstallOptions) -> str:
    """Return the file that asks for the site as it is. Raises what finding the site raises."""
    if options.hosts:
        raise UsageError("init writes either what the site is or what the options say", "give --via alone, or --master and --node without it")
    with session(options) as run, open_site(run, everybody=False) as opened:
        site = opened.record.site
    validity = site.option(VALIDITY)
    return render(
        tuple(Host(host.address, host.role, host.port, host.user, host.internal) for host in site.hosts),
        pods=site.networks.pods,
        services=site.networks.services,
        endpoint=site.endpoint,
        sans=site.sans,
        validity=int(validity) if validity else None,
        settings=site.settings,
        wishes={host.address: HostWishes(host.labels, host.taints, host.env) for host in site.hosts},
        prog=_prog(),
        file=str(options.output or "Clusterfile"),
    )


def _prog() -> str:
    return f"./{Path(sys.argv[0]).name}" if getattr(sys, "frozen", False) else "airseal-stub"
