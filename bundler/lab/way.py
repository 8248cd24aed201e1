"""Way: how a lab's hosts come to the recorder, and what proves that the short one leads there."""

from __future__ import annotations

import socket
from enum import StrEnum


class Way(StrEnum):
    """DIRECT: the recorder listens on the lab's gateway. RELAY: a container in the lab listens for it. AUTO: whichever works."""

    AUTO = "auto"
    DIRECT = "direct"
    RELAY = "relay"


def is_here(network_id: str) -> bool:
    """Tell whether a docker network's bridge is in this process's network namespace.

    Docker calls the bridge after the network's random id, so that its being here is a proof. That the gateway's address is
    ours would be none: every engine gives the same addresses to its first networks.
    """
    try:
        socket.if_nametoindex(f"br-{network_id[:12]}")
    except OSError:
        return False
    return bool(network_id)
