"""From a plain connection to an agent: one channel, one sudo, one login-shell word."""

from __future__ import annotations

import logging
import secrets
from typing import Final, Protocol, runtime_checkable

from installer_stub.agent.client import AgentConnection
from installer_stub.agent.link import LOST_SECONDS, SAID_SECONDS, Link, Say
from installer_stub.agent.place import launch
from installer_stub.host.exchange import Channel
from installer_stub.host.model import Host
from installer_stub.plan.model import STUB

_log = logging.getLogger("airseal.agent")
PROGRAM: Final = (STUB,)


@runtime_checkable
class DuplexConnection(Protocol):
    """A connection that can open a channel to a program which speaks in both directions."""

    @property
    def host(self) -> Host:
        """The host at the other end."""

    def duplex(self, text: str) -> tuple[Channel, bytes]:
        """Start the shell text ``text`` as root; return the channel to it, and what it has said already."""


def start_agent(
    connection: DuplexConnection,
    run: str,
    *,
    program: tuple[str, ...] = PROGRAM,
    said: Say = _log.warning,
    silence: tuple[float, float] = (SAID_SECONDS, LOST_SECONDS),
) -> AgentConnection:
    """Return the agent of ``run`` on the host, started. Raises HostUnreachable with what was said instead of its hello."""
    marker = f"airseal-agent {secrets.token_hex(16)}"
    channel, before = connection.duplex(launch(program, run, marker))
    return AgentConnection(connection.host, Link(connection.host, channel, marker, before=before, said=said, silence=silence))
