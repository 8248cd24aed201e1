"""Names of our programs that others hold: found before anything changes, not when the links are made."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from installer_stub.bundle.model import ClusterFile
from installer_stub.plan.model import LINKS
from installer_stub.preflight.finding import Finding, Site, fatal


def linked(files: Iterable[ClusterFile]) -> frozenset[str]:
    """Return the paths that an installation of ``files`` makes links at."""
    targets = dict(LINKS)
    paths = (PurePosixPath(file.path) for file in files)
    return frozenset(f"{targets[str(path.parent)]}/{path.name}" for path in paths if str(path.parent) in targets)


def names_taken(site: Site) -> Iterator[Finding]:
    """Only an absent name, or a link to ours, is ever replaced (``hostside.links``)."""
    for host, facts in site.each():
        taken = sorted(facts.names_taken & site.links)
        if taken:
            moves = " && ".join(f"mv {shlex.quote(path)} {shlex.quote(path)}.before-airseal" for path in taken)
            what = "this name is" if len(taken) == 1 else "these names are"
            yield fatal(
                host.address,
                f"{what} taken by files that are not ours: {', '.join(taken)}",
                f"remove the packages they came from, or move them away there: {moves}",
            )
