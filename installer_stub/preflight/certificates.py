"""Certificates and keys of a cluster that is there already: torn ones, those that end soon, and a clock that does not fit to them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Final

from installer_stub.distro.certificates import (
    AUTHORITIES,
    AUTHORITIES_KEYS,
    LEAVES_KEYS,
    MASTERS_FILES,
    SIGNERS,
)
from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.facts.certificates import Certificate, earliest
from installer_stub.facts.gather import HostFacts
from installer_stub.facts.keys import Pem
from installer_stub.host.model import Role
from installer_stub.preflight.finding import Finding, Site, fatal, warning

SOON: Final = 60 * 86400.0  # seconds
_RENEW: Final = "certs renew, with the same hosts; on the host: journalctl -u airseal-keep says why it was not renewed"


def ends_soon(certificate: Certificate, now: float) -> bool:
    """Tell whether a certificate has ended, or has less left than a host would ever let it come to."""
    life = certificate.ends - certificate.begins
    return not certificate.problem and certificate.ends - now < min(SOON, life / 4)


def torn(site: Site) -> Iterator[Finding]:
    """Kubernetes' own certificates and keys of a master that is complete: without one of them the cluster answers, and something in it fails."""
    for host, facts in site.each():
        if host.role is not Role.MASTER or not facts.membership.complete or not facts.certificates:  # none at all: nobody could tell
            continue
        whole = {each.path for each in facts.certificates if not each.problem}
        bad = {path for path in MASTERS_FILES if path not in whole} | _damaged(facts, (*MASTERS_FILES, *LEAVES_KEYS))
        if bad:
            yield fatal(host.address, f"{', '.join(sorted(bad))}: torn, empty or gone", "certs renew, with the same hosts, makes it anew; then run the same command again")


def lost(site: Site) -> Iterator[Finding]:
    """What nothing can make anew: CAs and the key of service accounts. Programs that run have read it; at their next start they fail.

    Of a node that is the cluster's CA alone. A CA's key that is not there is somebody's decision; a torn one is nobody's.
    """
    masters = [each for each, known in site.each() if each.role is Role.MASTER and known.membership.complete]
    for host, facts in site.each():
        if not facts.membership.complete:
            continue
        if host.role is Role.MASTER:
            bad = _damaged(facts, (*AUTHORITIES, *SIGNERS)) | {path for path in AUTHORITIES_KEYS if facts.keys.get(path) is Pem.TORN}
        else:
            bad = _damaged(facts, (KUBEADM.authority,))  # by which kubelet knows who may ask it
        if bad:
            others = [each.address for each in masters if each != host]
            where = f"{'another' if host.role is Role.MASTER else 'a'} master ({', '.join(others)})" if others else "a backup"
            yield fatal(
                host.address, f"{', '.join(sorted(bad))}: torn, empty or gone, and nothing can make it anew",
                f"put it back from {where}, root's alone and keys with mode 0600, before anything restarts there; then run the same command again",
            )  # fmt: skip


def ends(site: Site) -> Iterator[Finding]:
    """Hosts renew at half of a certificate's life, so one with less than a quarter left says that something fails."""
    for host, facts in site.each():
        if not facts.membership.ours:
            continue
        for each in facts.certificates:
            if each.problem and each.path not in MASTERS_FILES and facts.keys.get(each.path) is not Pem.TORN:
                yield warning(host.address, f"{each.path}: {each.problem}", "compare it with that of another host")
        first = earliest(each for each in facts.certificates if ends_soon(each, _now(facts)))
        if first is not None:
            days = first.days_left(_now(facts))
            when = f"ends in {days:.1f} days" if days >= 0 else f"ended {-days:.1f} days ago"
            remedy = _RENEW if not first.authority else "nothing renews a CA: plan a new cluster, and move"
            yield warning(host.address, f"{first.path} {when}", remedy)


def clock(site: Site) -> Iterator[Finding]:
    """A host whose clock stands before a certificate's begin refuses it."""
    for host, facts in site.each():
        if not facts.membership.ours:
            continue
        late = [each.path for each in facts.certificates if not each.problem and each.begins > _now(facts)]
        if late:
            yield warning(host.address, f"its clock is before the begin of {late[0]}", "set the clock: chronyc makestep, or date -s")


def _damaged(facts: HostFacts, paths: Iterable[str]) -> set[str]:
    """Return those of ``paths`` that are torn or gone; what nobody could tell is neither."""
    return {path for path in paths if facts.keys.get(path, Pem.WHOLE) is not Pem.WHOLE}


def _now(facts: HostFacts) -> float:
    """Return the time by the host's own clock, which is what its programs judge by."""
    return time.time() + facts.clock_offset
