"""The lease on a site: one run at a time changes it. Taken on every host, in the order of addresses, before the first change.

Two runs that want the same hosts meet at the first of them. A holder that lives keeps it: its agent's lock says so. One
whose operator has not been heard for a while (a pulled cable, a laptop that fell asleep) is waited for, because its agent
ends itself after a minute of silence; nobody is ever robbed.
"""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from installer_stub.agent.client import LeaseAnswer
from installer_stub.agent.host_lease import Holder
from installer_stub.errors import SiteBusy
from installer_stub.host.model import Host

PATIENCE_SECONDS: Final = 10.0  # a run that was stopped a moment ago is still ending what it had begun
QUIET_SECONDS: Final = 20.0  # a living operator is heard every ten seconds
DEATH_SECONDS: Final = 90.0  # an agent ends itself after sixty seconds of silence
_PAUSE: Final = 1.0


class Leased(Protocol):
    """A connection whose host can be leased: an AgentConnection."""

    @property
    def host(self) -> Host:
        """The host at the other end."""

    def take_lease(self, run: str, who: str, verb: str) -> LeaseAnswer:
        """Ask for the right to change this host."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who wants to change the site: a run's random name, its operator, and what for."""

    run: str
    who: str
    verb: str


def operator() -> str:
    """Return ``user@machine`` of whoever runs us."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def take_leases(
    hosts: Iterable[Leased],
    claimant: Claimant,
    said: Callable[[str], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Take the lease of every host. It lasts as long as the connection. Raises SiteBusy; those taken until then remain taken."""
    for host in sorted(hosts, key=lambda each: each.host.address):
        _take(host, claimant, said, clock, sleep)


def _take(
    leased: Leased, claimant: Claimant, said: Callable[[str], None], clock: Callable[[], float], sleep: Callable[[float], None]
) -> None:
    begun, told = clock(), False
    while True:
        answer = leased.take_lease(claimant.run, claimant.who, claimant.verb)
        if answer.granted:
            if answer.died is not None:
                died = answer.died
                said(f"{leased.host}: {died.verb} by {died.who}, begun {_at(died.since)}, died there; what it left running was ended")
            return
        holder, waited = answer.holder, clock() - begun
        # Times of the holder are the host's own, as ``now`` is: another clock does not matter.
        quiet = holder is not None and answer.now - holder.heard > QUIET_SECONDS
        if waited > (DEATH_SECONDS if quiet else PATIENCE_SECONDS):
            raise busy(leased.host, holder, answer.now)
        if not told:
            told = True
            said(f"{leased.host}: waiting for {_words(holder)} to end")
        sleep(_PAUSE)


def busy(host: Host, holder: Holder | None, now: float) -> SiteBusy:
    """Return what the loser is told. ``now`` is the host's clock."""
    heard = f", heard {max(0.0, now - holder.heard):.0f} s ago" if holder is not None else ""
    remedy = "wait until it has ended, or stop it there (Ctrl-C), and run the same command again"
    return SiteBusy(f"{host}: {_words(holder)} is at work on this site{heard}", remedy)


def _words(holder: Holder | None) -> str:
    if holder is None:
        return "another run"
    return f"{holder.verb} by {holder.who}, begun {_at(holder.since)}"


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
