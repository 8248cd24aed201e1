"""WaitingRoom: the connections that no thread works on, in one epoll, each kind of wait in the order of its deadlines.

A connection costs a dictionary entry here, and no thread: thousands may idle, dribble a head, or take their time to read.
Those that shake hands are in an epoll of their own, which the first one watches: a step of a handshake is work, and
thousands of them must not stand before those who are through.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Iterator, Mapping

from registry_snapshot.serve.connection import Connection, Wait

_EVENTS = 256  # handled per turn; more would keep the first of them waiting
_HANDSHAKES = 256  # looked at per turn, to choose the few that go on from all addresses
_IN_ALL = frozenset({Wait.HANDSHAKE, Wait.HEAD, Wait.DRAIN})  # bounded from their first byte on, however many more come


class WaitingRoom:
    """Any thread parks a connection; the loop's thread takes it out again. ``seconds`` says how long each kind may wait."""

    def __init__(self, seconds: Mapping[Wait, float]) -> None:
        self._seconds = seconds
        self._waiting: dict[Wait, dict[Connection, float]] = {wait: {} for wait in Wait}
        self._lock = threading.Lock()
        self._epoll = select.epoll()
        self._hands = select.epoll()
        self.hands_fd = self._hands.fileno()
        """What ``wait`` reports when there is somebody in ``shaking``."""
        self._epoll.register(self.hands_fd, select.EPOLLIN)

    def watch(self, fd: int, events: int) -> None:
        """Report on a file that is no connection: the listener, the bell."""
        self._epoll.register(fd, events)

    def unwatch(self, fd: int) -> None:
        """Report on it no more."""
        self._epoll.unregister(fd)

    def wait(self, seconds: float | None) -> list[tuple[int, int]]:
        """Return files something happened to, and what, as soon as there are any. May report what has gone meanwhile."""
        return self._epoll.poll(seconds, _EVENTS)

    def shaking(self) -> list[int]:
        """Return the files of some whose handshake can go on: others' turn comes when it is asked again."""
        return [fd for fd, _ in self._hands.poll(0, _HANDSHAKES)]

    def park(self, connection: Connection, wait: Wait, events: int) -> None:
        """Leave ``connection`` until one of ``events``, or its time is up. From here on it is the loop's.

        Raises ConnectionAbortedError after ``close``.
        """
        with self._lock:
            if self._epoll.closed:
                raise ConnectionAbortedError("the server has stopped")
            if wait is not Wait.HANDSHAKE:
                self._let_go(connection)
            if connection.wait is not wait or wait not in _IN_ALL:
                self._forget(connection)
                connection.wait = wait
                self._waiting[wait][connection] = time.monotonic() + self._seconds[wait]
            if connection.armed != events:
                known = connection.armed != 0
                connection.armed = events
                connection.shakes = wait is Wait.HANDSHAKE
                epoll = self._hands if connection.shakes else self._epoll
                (epoll.modify if known else epoll.register)(connection.fd, events)

    def take(self, connection: Connection) -> None:
        """Take ``connection`` out, for the loop itself to move it on: events are still reported."""
        with self._lock:
            self._forget(connection)

    def hand_over(self, connection: Connection) -> None:
        """Take ``connection`` out for another thread: nothing is reported until it is parked again."""
        with self._lock:
            self._forget(connection)
            self._let_go(connection)
            if connection.armed:
                # 0 would still report hang-ups, again and again; a one-shot reports at most one of them.
                connection.armed = select.EPOLLONESHOT
                self._epoll.modify(connection.fd, select.EPOLLONESHOT)

    def overdue(self) -> Iterator[tuple[Connection, Wait]]:
        """Take out those whose time is up."""
        now = time.monotonic()
        for wait, waiting in self._waiting.items():
            while True:
                with self._lock:
                    connection = next(iter(waiting), None)
                    if connection is None or waiting[connection] > now:
                        break
                    self._forget(connection)
                yield connection, wait

    def oldest(self, *waits: Wait, waited: float = 0) -> Connection | None:
        """Return who has waited longest, ``waited`` seconds at least, of the first kind that has any. For the loop alone."""
        now = time.monotonic()
        with self._lock:
            for wait in waits:
                connection = next(iter(self._waiting[wait]), None)
                if connection is not None and self._waiting[wait][connection] - self._seconds[wait] + waited <= now:
                    return connection
        return None

    def count(self, *waits: Wait) -> int:
        """Return how many wait for one of these."""
        return sum(len(self._waiting[wait]) for wait in waits)

    def close(self) -> None:
        """Take nobody any more."""
        with self._lock:
            self._epoll.close()
            self._hands.close()

    def _let_go(self, connection: Connection) -> None:
        """Its handshake is over."""
        if connection.shakes:
            connection.shakes = False
            connection.armed = 0
            self._hands.unregister(connection.fd)

    def _forget(self, connection: Connection) -> None:
        if connection.wait is not None:
            del self._waiting[connection.wait][connection]
            connection.wait = None
