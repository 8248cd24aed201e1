"""Places: which client address holds how many connections, and whose must go when there is no room.

Anybody may connect; only who has been answered as one of ours is *known*. Strangers cost a place as well, and one address
can open thousands of connections a second, each silent, half through its handshake, or dribbling. So no address may hold
more than a share of all places; and under pressure those who are not known go first, of the address that has most of
them, the oldest first. Whoever opens few connections and says soon who it is does not notice.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import defaultdict

from registry_snapshot.serve.connection import Connection, Wait

_SHARE = 8  # of the places, one address may hold the eighth part
_SHARE_AT_LEAST = 64  # connections; a node's runtime opens one for each layer that it pulls
_HOARD = 2  # of the share, one address may have half as strangers before they are taken for more than chance


def origin_of(client: str) -> str:
    """Return what connections are counted by: an IPv4 address, or the network of 64 bits that an IPv6 host may choose from."""
    if ":" not in client:
        return client
    try:
        address = ipaddress.IPv6Address(client.partition("%")[0])
    except ValueError:
        return client
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{int(address) >> 64:x}::/64"


class Places:
    """Who holds a place. ``most`` of them can be held. The loop lets in and out, any thread may say that one is known."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        # Both in order: strangers as they came, the known as they were answered last.
        self._strangers: dict[str, dict[Connection, None]] = {}
        self._known: dict[str, dict[Connection, None]] = {}
        self._by_count: defaultdict[int, dict[str, None]] = defaultdict(dict)
        self._highest = 0

    @property
    def share(self) -> int:
        """How many connections one address may have."""
        return min(self.most, max(_SHARE_AT_LEAST, self.most // _SHARE))

    def add(self, connection: Connection) -> None:
        """Give it a place, as a stranger."""
        with self._lock:
            strangers = self._strangers.setdefault(connection.origin, {})
            strangers[connection] = None
            self._count(connection.origin, len(strangers) - 1, len(strangers))

    def remove(self, connection: Connection) -> None:
        """Take its place away. May be called twice."""
        with self._lock:
            self._forget(connection)

    def know(self, connection: Connection) -> None:
        """Note that it was answered as one of ours, now. One that has no place any more gets none."""
        with self._lock:
            if self._forget(connection):
                self._known.setdefault(connection.origin, {})[connection] = None

    def is_at_its_share(self, origin: str) -> bool:
        """Tell whether an address may have no further connection, though there may be room."""
        with self._lock:
            return self.share < self.most and len(self._strangers.get(origin, ())) + len(self._known.get(origin, ())) >= self.share

    def leaver_of(self, origin: str) -> Connection | None:
        """Return whose place at ``origin`` a new connection from there gets; None if all are busy. For the loop alone."""
        with self._lock:
            stranger = _first(self._strangers.get(origin, {}), *Wait)
            return stranger or _first(self._known.get(origin, {}), Wait.IDLE, Wait.DRAIN)

    def oldest_stranger(self) -> Connection | None:
        """Return the oldest stranger of the address that has most of them; None if all are busy. For the loop alone."""
        with self._lock:
            return _first(self._strangers[next(iter(self._by_count[self._highest]))], *Wait) if self._highest else None

    @property
    def is_hoarded(self) -> bool:
        """Tell whether one address has so many strangers that others must not wait for them."""
        return self._highest > max(self.share, _SHARE_AT_LEAST) // _HOARD

    @property
    def most_strangers(self) -> int:
        """How many strangers the address has that has most of them."""
        return self._highest

    def _forget(self, connection: Connection) -> bool:
        strangers, known = self._strangers.get(connection.origin, {}), self._known.get(connection.origin, {})
        if connection in strangers:
            del strangers[connection]
            self._count(connection.origin, len(strangers) + 1, len(strangers))
            if not strangers:
                del self._strangers[connection.origin]
            return True
        if connection not in known:
            return False
        del known[connection]
        if not known:
            del self._known[connection.origin]
        return True

    def _count(self, origin: str, before: int, after: int) -> None:
        if before:
            del self._by_count[before][origin]
            if not self._by_count[before]:
                del self._by_count[before]
        if after:
            self._by_count[after][origin] = None
        # Counts change by one: who was alone at the top still has most.
        if after > self._highest or (before == self._highest and before not in self._by_count):
            self._highest = after


def _first(connections: dict[Connection, None], *waits: Wait) -> Connection | None:
    """Return the first that no thread works on and that waits for one of ``waits``."""
    return next((connection for connection in connections if connection.wait in waits), None)
