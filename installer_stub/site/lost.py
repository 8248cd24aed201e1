"""Hosts that do not answer: a site that stands goes on without those of its own; a stranger that is silent is an error. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from installer_stub.errors import HostsFailed, HostUnreachable
from installer_stub.options import InstallOptions
from installer_stub.preflight.finding import Finding, warning
from installer_stub.site.model import SiteRecord


def without_lost(options: InstallOptions, lost: Mapping[str, HostUnreachable], record: SiteRecord | None) -> InstallOptions:
    """Return ``options`` for the hosts that answer: the others are the site's, and stay so.

    ``lost`` by the address that the command line has. Raises the error of a host that the site does not know: it cannot be
    installed, and leaving it out would not be what was asked.
    """
    strangers = [error for address, error in lost.items() if record is None or record.site.find(address) is None]
    guides = {host.address for host in options.via} - {host.address for host in options.hosts}
    if record is not None:
        # A guide is only asked the way, and the way was found.
        strangers = [error for error in strangers if error.host not in guides]
    if strangers:
        raise strangers[0] if len(strangers) == 1 else HostsFailed(strangers)
    return replace(options, hosts=tuple(host for host in options.hosts if host.address not in lost))


def silent(lost: Mapping[str, HostUnreachable]) -> list[Finding]:
    """Return a warning for every host that the run goes on without."""
    remedy = "start it; then run the same command again, so that it gets what the others got meanwhile"
    return [warning(address, "is off, or cannot be reached: this run goes on without it, and it stays a host of the site", remedy) for address in lost]
