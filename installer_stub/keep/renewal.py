"""When certificates are renewed: at half of their life, one master at a time. Pure: times come in, decisions go out.

Nobody has to be asked. Each master has a slot of its own on the clock, so two of them do not restart their API servers together,
also when the whole site was switched off and all are due at once; and a cluster whose certificates have ended, in which
nobody could be asked, renews without waiting for a slot, because nothing can be harmed any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from installer_stub.facts.certificates import Certificate
from installer_stub.keep.document import CertificatePolicy
from installer_stub.keep.script import LONGEST

_SLOT: Final = 600  # seconds; a renewal with its restarts takes one or two minutes
_CLOCKS: Final = 3600.0  # seconds that two clocks of a site may differ by without anybody being wrong
_SHORTEST_SLOT: Final = 180  # the timer comes once a minute: at least once in the half of a slot in which a master may begin
_WAITED: Final = 0.75  # of its life: until then a certificate waits for a master that is away to come back
_URGENT: Final = 2  # rounds of all masters before the end: from there on nobody waits for a turn


def slot(policy: CertificatePolicy) -> int:
    """Return the length of a slot in seconds."""
    return max(_SHORTEST_SLOT, min(_SLOT, policy.validity // 40 // max(1, policy.masters)))


def due(certificates: Sequence[Certificate], now: float) -> tuple[Certificate, ...]:
    """Return those that shall be renewed: half of their life is over, or it has not begun (the clock was ahead for a time).

    CAs never, and nothing that could not be read. None at all while a CA is not valid: then it is the clock that is wrong
    (a host without a battery begins in 1970), or nothing signed by it would be believed.
    """
    readable = [each for each in certificates if not each.problem]
    if any(not each.begins - _CLOCKS <= now <= each.ends for each in readable if each.authority):
        return ()
    return tuple(each for each in readable if not each.authority and (now >= each.half or _is_ahead(each, now)))


def my_turn(policy: CertificatePolicy, certificates: Sequence[Certificate], now: float) -> bool:
    """Tell whether this host may renew now."""
    soon = now + _URGENT * slot(policy) * max(1, policy.masters)
    return any(each.ends <= soon or _is_ahead(each, now) for each in due(certificates, now)) or in_slot(policy, now)


def may_wait(certificates: Sequence[Certificate], now: float) -> bool:
    """Tell whether what is due has time, while another master is away: to take a second one away is worse than to be late by a year."""
    return all(each.begins <= now < each.begins + _WAITED * (each.ends - each.begins) for each in due(certificates, now))


def in_slot(policy: CertificatePolicy, now: float) -> bool:
    """Tell whether this is a moment at which only this master may begin what takes something away from the cluster.

    Only in the first half of its slot: the other half is for the restarts to end, before the next master's slot.
    """
    length = slot(policy)
    number, passed = divmod(now, length)
    return policy.masters < 2 or (int(number) % policy.masters == policy.position and passed < length / 2)


def next_slot(policy: CertificatePolicy, now: float) -> float:
    """Return when this master's next slot begins."""
    masters = max(1, policy.masters)
    number = int(now // slot(policy)) + 1
    return float((number + (policy.position - number) % masters) * slot(policy))


def next_look(policy: CertificatePolicy, certificates: Sequence[Certificate], now: float) -> float:
    """Return when to look again: the next end of half a life, or this master's next slot for what is due already."""
    if due(certificates, now):
        return next_slot(policy, now)
    times = [each.half for each in certificates if not each.authority and not each.problem]
    return min([*times, now + LONGEST])


def _is_ahead(certificate: Certificate, now: float) -> bool:
    return certificate.begins > now + _CLOCKS
