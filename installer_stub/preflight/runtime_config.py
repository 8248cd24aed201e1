"""containerd's configuration is ours, and has a place for others: what they add there stays, what they edit would be undone."""

from __future__ import annotations

from collections.abc import Iterator

from installer_stub.distro.containerd import CONFIG, DROPIN_DIRECTORY
from installer_stub.preflight.finding import Finding, Site, fatal, note


def runtime_config(site: Site) -> Iterator[Finding]:
    """An edit is somebody's work: it is not undone before they were asked."""
    for host, facts in site.each():
        config = facts.runtime_config
        if config.edited and CONFIG not in site.take:
            yield fatal(
                host.address,
                f"{CONFIG} was edited since airseal wrote it, and an installation would undo that",
                f"put what was added into a file in {DROPIN_DIRECTORY}, where it stays; then give this file up: --take {CONFIG}",
            )
        if config.additions:
            yield note(host.address, f"containerd also reads {', '.join(config.additions)}")
