"""Way: how a lab's hosts come to the recorder, and what proves that the short one leads there."""

from __future__ import annotations

import socket
from enum import StrEnum

from bundler.cluster.network import TemporaryNetwork
from bundler.cluster.ownership import Owner
from bundler.engine import Engine
from bundler.errors import ClusterFailed

REMEDY = "say which: --recorder direct where docker's networks are on this machine, --recorder relay anywhere else"


class Way(StrEnum):
    """DIRECT: the recorder listens on the lab's gateway. RELAY: a container in the lab listens for it. AUTO: whichever works."""

    AUTO = "auto"
    DIRECT = "direct"
    RELAY = "relay"


def is_here(network_id: str) -> bool:
    """Tell whether a docker network's bridge is in this process's network namespace. Raises ClusterFailed where nobody can tell.

    Docker calls the bridge after the network's random id, so that its being here is a proof. That the gateway's address is
    ours would be none: every engine gives the same addresses to its first networks.
    """
    try:
        names = {name for _, name in socket.if_nameindex()}
    except OSError as error:
        raise ClusterFailed(f"this machine does not tell its network interfaces: {error.strerror or error}", REMEDY) from None
    return bool(network_id) and f"br-{network_id[:12]}" in names


def found(network_id: str, wanted: Way) -> Way:
    """Return DIRECT or RELAY for a network of the engine. Raises ClusterFailed where ``wanted`` cannot be, or nobody can tell."""
    if wanted is Way.RELAY:
        return wanted
    if is_here(network_id):
        return Way.DIRECT
    if wanted is Way.DIRECT:
        problem = "the recorder cannot be reached directly: docker's networks are not on this machine (in a virtual machine, another container or another host)"
        raise ClusterFailed(problem, "leave --recorder direct out: a relay in the lab brings what hosts ask to the recorder")
    return Way.RELAY


def find(engine: Engine, wanted: Way = Way.AUTO) -> Way:
    """Return the way that labs of this engine will take, by making a network for a moment. Raises ClusterFailed, DockerError."""
    with TemporaryNetwork(engine, Owner.current(), closed=True) as network:
        return found(network.id, wanted)
