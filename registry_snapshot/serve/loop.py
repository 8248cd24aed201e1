"""Loop: the one thread that holds all sockets. It never waits for a client, and for the app only if that never waits."""

from __future__ import annotations

import contextlib
import errno
import logging
import select
import socket
import ssl
import time
from collections import Counter, deque

from registry_snapshot.serve.connection import Connection, Wait
from registry_snapshot.serve.exchange import Exchange
from registry_snapshot.serve.limits import Limits, most_connections
from registry_snapshot.serve.messages import App
from registry_snapshot.serve.metrics import Count, Metrics
from registry_snapshot.serve.places import Places, origin_of
from registry_snapshot.serve.transport import TlsTransport, Transport
from registry_snapshot.serve.waiting import WaitingRoom
from registry_snapshot.serve.wire import BadRequestError
from registry_snapshot.serve.workers import Workers

_log = logging.getLogger(__name__)
_PATIENCE = 0.25  # seconds that a worker waits for a client to take more, before it leaves that to the loop
_WIND_DOWN_TICK = 0.02  # seconds
_CUT_SECONDS = 1.0  # for workers to see that their connection was cut; one that waits for an upstream is left to itself
_FULL_TICK = 0.1  # seconds
_IDLE_AT_LEAST = 1.0  # seconds, before a connection is closed to make room for another
_STRANGER_AT_LEAST = 0.25  # the same for one that has not been answered yet
_ACCEPTS = 64  # in a row, before others have their turn
_HANDSHAKES = 16  # steps of them per turn: each is up to half a millisecond of work
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_QUIET = (Wait.IDLE, Wait.HEAD, Wait.HANDSHAKE)


class Loop:
    """Serves ``app`` to those who connect to ``listener``, until ``ask_to_stop``. Owns the listener."""

    def __init__(
        self, app: App, listener: socket.socket, *, tls: ssl.SSLContext | None, limits: Limits, metrics: Metrics, inline: bool
    ) -> None:
        self._listener = listener
        self._tls = tls
        self._limits = limits
        self._metrics = metrics
        self._inline = inline
        self._places = Places(limits.connections)
        self._live: dict[int, Connection] = {}
        seconds = {
            Wait.HANDSHAKE: limits.handshake,
            Wait.IDLE: limits.idle,
            Wait.HEAD: limits.receive,
            Wait.TAKE: limits.stall,
            Wait.DRAIN: limits.drain,
        }
        self._tick = min(1.0, min(seconds.values()) / 4)
        self._swept = 0.0
        self._room = WaitingRoom(seconds)
        self._workers: Workers[Connection] = Workers(self._work, limits.workers, "registry-worker")
        self._exchange = Exchange(
            app, self._room, self._places, metrics, stall=limits.stall, is_crowded=self._is_crowded, close=self._close
        )
        self._ready: deque[Connection] = deque()
        self._is_accepting = False
        self._stopping = False
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._live)

    @property
    def threads(self) -> int:
        """How many workers there are."""
        return self._workers.count

    def run(self) -> None:
        """Serve until asked to stop; then let running answers end for a few seconds, and cut what is left."""
        self._places.most = most_connections(self._limits)
        self._room.watch(self._bell.fileno(), select.EPOLLIN)
        self._accept_again()
        try:
            while not self._stopping:
                self._turn(self._pause() if self._live or not self._is_accepting else None)
            self._wind_down()
        finally:
            self.close()

    def ask_to_stop(self) -> None:
        """Make ``run`` end. Takes no lock: also for signal handlers."""
        self._stopping = True
        with contextlib.suppress(OSError):  # the bell is full, or the loop has ended
            self._rope.send(b"x")

    def close(self) -> None:
        """Let go of everything. May be called twice. What a worker has in hand is the worker's to close."""
        for connection in list(self._live.values()):
            if connection.wait is None:
                connection.transport.cut()
            else:
                self._close(connection)
        for owned in (self._listener, self._room, self._bell, self._rope):
            owned.close()

    def _turn(self, seconds: float | None) -> None:
        shaking = False
        for fd, _ in self._room.wait(0 if self._ready else seconds):
            if fd == self._room.hands_fd:
                shaking = True
            elif fd == self._listener.fileno():
                self._accept()
            elif fd == self._bell.fileno():
                with contextlib.suppress(BlockingIOError):
                    self._bell.recv(4096)
            elif (connection := self._live.get(fd)) is not None and connection.wait is not None:
                self._exchange.guard(connection, self._move)
        for _ in range(len(self._ready)):
            self._exchange.guard(self._ready.popleft(), self._serve)
        if shaking:
            self._shake_hands()
        now = time.monotonic()
        if now >= self._swept + self._pause():
            self._swept = now
            self._sweep()

    def _pause(self) -> float:
        """Return the seconds between two looks at whose time is up; few while somebody waits for a place."""
        return self._tick if self._is_accepting else min(self._tick, _FULL_TICK)

    def _shake_hands(self) -> None:
        """Go on with a few handshakes, after all others, and of as many addresses as there are."""
        ready = [connection for fd in self._room.shaking() if (connection := self._live.get(fd)) is not None and connection.shakes]
        seen: Counter[str] = Counter()
        ranks = {}
        for connection in ready:
            ranks[connection] = seen[connection.origin]
            seen[connection.origin] += 1
        for connection in sorted(ready, key=ranks.__getitem__)[:_HANDSHAKES]:
            self._exchange.guard(connection, self._move)

    def _move(self, connection: Connection) -> None:
        match connection.wait:
            case Wait.TAKE:
                self._go_on(connection)
            case Wait.DRAIN:
                if not connection.drain():
                    self._close(connection)
            case wait:
                if wait is Wait.HANDSHAKE and (events := connection.transport.shake_hands()):
                    self._room.park(connection, Wait.HANDSHAKE, events)
                elif connection.receive():
                    self._serve(connection)
                else:
                    self._room.park(connection, Wait.HEAD if connection.has_begun else Wait.IDLE, select.EPOLLIN)

    def _serve(self, connection: Connection) -> None:
        """Answer the request that is there."""
        if not self._inline:
            self._delegate(connection)
            return
        self._room.take(connection)
        if self._exchange.begin(connection).gather(may_wait=False):
            self._send(connection)
        else:
            self._delegate(connection)

    def _go_on(self, connection: Connection) -> None:
        """Send more of an answer, now that the client takes more."""
        if connection.outgoing is not None and connection.outgoing.is_gathered:
            self._send(connection)
        else:
            self._delegate(connection)

    def _send(self, connection: Connection) -> None:
        if self._exchange.send(connection, patience=0) and self._exchange.has_next(connection):
            self._room.take(connection)
            self._ready.append(connection)  # after all others

    def _delegate(self, connection: Connection) -> None:
        self._room.hand_over(connection)
        try:
            self._workers.submit(connection)
        except RuntimeError as error:
            _log.warning("cannot serve a connection: %s", error)
            self._metrics.add(Count.REFUSED)
            self._close(connection)

    def _work(self, connection: Connection) -> None:
        self._exchange.guard(connection, self._work_on)

    def _work_on(self, connection: Connection) -> None:
        while True:
            if connection.outgoing is None:
                self._exchange.begin(connection).gather(may_wait=True)
            patience = 0 if self._workers.are_all_busy or self._stopping else _PATIENCE
            if not self._exchange.send(connection, patience=patience) or not self._exchange.has_next(connection):
                return

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            if self._is_full() and self._leaver() is None:
                self._accept_later()
                return
            try:
                sock, peer = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                _log.warning("cannot accept a connection: %s", error)
                self._metrics.add(Count.REFUSED)
                if error.errno in _SHORTAGES and not self._evict(self._leaver()):
                    self._accept_later()  # the client stays in the backlog; a connection that ends makes room
                return
            origin = origin_of(str(peer[0]))
            if self._make_room(origin):
                self._admit(sock, str(peer[0]), origin)
            else:
                self._metrics.add(Count.REFUSED)
                sock.close()

    def _is_full(self) -> bool:
        return len(self._live) >= self._places.most

    def _make_room(self, origin: str) -> bool:
        """See that there is a place for a connection from ``origin``; False if it has its share, and is busy with all of it."""
        if self._places.is_at_its_share(origin):
            return self._evict(self._places.leaver_of(origin))
        return not self._is_full() or self._evict(self._leaver())

    def _admit(self, sock: socket.socket, client: str, origin: str) -> None:
        self._metrics.add(Count.ACCEPTED)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = Transport(sock) if self._tls is None else TlsTransport(sock, self._tls)
        except OSError as error:
            _log.info("connection from %s ended: %s", client, error)
            sock.close()
            return
        connection = Connection(transport, client, origin)
        self._live[connection.fd] = connection
        self._places.add(connection)
        self._exchange.guard(connection, self._welcome)

    def _welcome(self, connection: Connection) -> None:
        self._room.park(connection, Wait.IDLE if self._tls is None else Wait.HANDSHAKE, select.EPOLLIN)

    def _evict(self, connection: Connection | None) -> bool:
        """Close it; tell whether there was one."""
        if connection is None:
            return False
        self._metrics.add(Count.EVICTED)
        self._close(connection)
        return True

    def _leaver(self) -> Connection | None:
        """Return whose place is the next to be given to another; None if all are busy, or too new."""
        # Not those who just came: their request is on its way.
        stranger = self._places.oldest_stranger()
        if stranger is not None:
            if self._places.is_hoarded or stranger.came + _STRANGER_AT_LEAST <= time.monotonic():
                return stranger
            if self._places.most_strangers > 1:
                return None  # soon; and nobody who is known goes for them meanwhile
        return self._room.oldest(Wait.IDLE, Wait.DRAIN, waited=_IDLE_AT_LEAST)

    def _accept_later(self) -> None:
        self._room.unwatch(self._listener.fileno())
        self._is_accepting = False

    def _accept_again(self) -> None:
        self._room.watch(self._listener.fileno(), select.EPOLLIN)
        self._is_accepting = True

    def _sweep(self) -> None:
        for connection, wait in self._room.overdue():
            if wait is Wait.HEAD:
                self._exchange.guard(connection, self._refuse_slow)
                continue
            if wait in {Wait.TAKE, Wait.HANDSHAKE}:
                _log.info("connection from %s ended: the client was too slow (%s)", connection.client, wait.name)
                self._metrics.add(Count.STALLED)
            self._close(connection)
        if not self._is_accepting and not self._stopping:
            self._accept_again()
        waiting = self._room.count(*Wait) - self._room.count(Wait.TAKE)
        self._metrics.set(Count.OPEN, len(self._live))
        self._metrics.set(Count.IDLE, self._room.count(Wait.IDLE))
        self._metrics.set(Count.IN_FLIGHT, max(len(self._live) - waiting, 0))
        self._metrics.set(Count.THREADS, self._workers.count + 1)

    def _refuse_slow(self, connection: Connection) -> None:
        self._exchange.refuse(connection, BadRequestError(408, "the request came too slowly"))

    def _is_crowded(self) -> bool:
        return len(self._live) * 2 > self._places.most

    def _close(self, connection: Connection) -> None:
        self._room.take(connection)
        # Before the number is free for a next connection, which must not be forgotten in its place.
        if self._live.get(connection.fd) is connection:
            del self._live[connection.fd]
        self._places.remove(connection)
        connection.close()

    def _wind_down(self) -> None:
        if self._is_accepting:
            self._accept_later()
        self._listener.close()
        self._exchange.is_stopping = True
        deadline = time.monotonic() + self._limits.stop
        while True:
            while (quiet := self._room.oldest(*_QUIET)) is not None:
                self._close(quiet)
            if not self._live or time.monotonic() >= deadline:
                break
            self._turn(_WIND_DOWN_TICK)
        for connection in list(self._live.values()):
            connection.transport.cut()
        self._workers.close(_CUT_SECONDS)
