"""What a host did not tell: said, and where the installation has to know it, a reason not to begin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from installer_stub.preflight.finding import Finding, Site, fatal, warning

_REMEDY: Final = "look there for what hangs or fails: a dead network mount (df), a full process table, systemctl that does not answer"


def unknown(site: Site) -> Iterator[Finding]:
    """Nothing is concluded from silence: one finding for each reason, with everything that it hides."""
    for host, facts in site.each():
        for needed in (True, False):
            reasons: dict[str, list[str]] = {}
            for each in facts.unknown:
                if each.needed is needed:
                    reasons.setdefault(each.why, []).append(f"{each.meaning} ({each.name})")
            for why, meanings in reasons.items():
                problem = f"it could not be found out {', '.join(meanings)}: {why}"
                yield fatal(host.address, problem, _REMEDY) if needed else warning(host.address, problem, _REMEDY)
