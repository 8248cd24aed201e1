"""Proxies of the site: they know neither the site registry nor the API, so nothing of ours may go through one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from installer_stub.distro.units import KUBELET_DROPIN
from installer_stub.preflight.finding import Finding, Site, note, warning

_EARLIER = "/etc/systemd/system/"  # what we set aside: whoever made it is not a package


def proxies(site: Site) -> Iterator[Finding]:
    """Our services are started without them, so this is no fault; whoever wonders why should know."""
    for host, facts in site.each():
        found = facts.proxies
        if found.variables or found.files:
            where = f" (from {', '.join(found.files)})" if found.files else ""
            names = ", ".join(found.variables) or "a proxy"
            yield note(host.address, f"systemd gives every service {names}{where}: containerd, kubelet and airseal's own are started without it")


def dropins(site: Site) -> Iterator[Finding]:
    """An earlier life's drop-ins would change our units. Those of a package we cannot take away."""
    for host, facts in site.each():
        if facts.membership.ours:
            continue
        for path in facts.proxies.dropins:
            if path == KUBELET_DROPIN:
                continue  # replaced by ours of that name, and put back by reset
            unit = PurePosixPath(path).parent.name.removesuffix(".d")
            if path.startswith(_EARLIER):
                yield note(host.address, f"{path} would change the new {unit}: it is set aside, and put back by reset")
            else:
                yield warning(host.address, f"{path} will change the new {unit}", f"see what it sets, and mask it if it is not wanted: ln -s /dev/null {_EARLIER}{unit}.d/{PurePosixPath(path).name}")
