"""A sudo that records sessions: what is sent through it stays on the host, or on a log server."""

from __future__ import annotations

from collections.abc import Iterator

from installer_stub.preflight.finding import Finding, Site, warning


def recorded(site: Site) -> Iterator[Finding]:
    """Say what would be kept. Whether that may be is not ours to decide."""
    for host, facts in site.each():
        if facts.sudo_records:
            options = ", ".join(facts.sudo_records)
            yield warning(
                host.address,
                f"sudo records what {host.user} sends and sees there ({options}): with an installation the registry's login, join secrets "
                "and the whole file are kept in its I/O log",
                f"let it not while this is installed: 'Defaults:{host.user} {', '.join(f'!{each}' for each in facts.sudo_records)}' with visudo; or log in as root",
            )
