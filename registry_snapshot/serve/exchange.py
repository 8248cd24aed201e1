"""Exchange: from a whole request to the last byte of its answer, on one connection, in whichever thread it is called."""

from __future__ import annotations

import logging
import select
from collections.abc import Callable

from registry_snapshot.serve.bodies import CutShortError, Outgoing
from registry_snapshot.serve.connection import Connection, Wait
from registry_snapshot.serve.error_body import error_response
from registry_snapshot.serve.messages import App, Request, Response
from registry_snapshot.serve.metrics import Count, Metrics
from registry_snapshot.serve.places import Places
from registry_snapshot.serve.waiting import WaitingRoom
from registry_snapshot.serve.wire import BadRequestError

_log = logging.getLogger(__name__)


class Exchange:
    """Asks ``app`` and sends what it says. ``is_crowded`` tells that connections or threads are short.

    ``stall`` is for how many seconds a client may take fewer than PACE_BYTES of a body.
    """

    def __init__(
        self,
        app: App,
        room: WaitingRoom,
        places: Places,
        metrics: Metrics,
        *,
        stall: float,
        is_crowded: Callable[[], bool],
        close: Callable[[Connection], None],
    ) -> None:
        self._app = app
        self._room = room
        self._places = places
        self._metrics = metrics
        self._stall = stall
        self._is_crowded = is_crowded
        self._close = close
        self.is_stopping = False

    def guard(self, connection: Connection, step: Callable[[Connection], None]) -> None:
        """Do ``step``; whatever goes wrong with a connection ends here, and ends the connection."""
        try:
            try:
                step(connection)
            except BadRequestError as error:
                self.refuse(connection, error)
        except EOFError:
            self._close(connection)
        except CutShortError as error:
            _log.warning("an answer to %s was cut short: %s", connection.client, error)
            self._metrics.add(Count.CUT)
            self._close(connection)
        except OSError as error:
            _log.info("connection from %s ended: %s", connection.client, error)
            self._metrics.add(Count.HANDSHAKE if connection.wait is Wait.HANDSHAKE else Count.LOST)
            self._close(connection)
        except Exception:  # noqa: BLE001 - the edge of the process's trust in its own code
            _log.exception("a bug of ours ends the connection from %s", connection.client)
            self._metrics.add(Count.BUG)
            self._close(connection)

    def begin(self, connection: Connection) -> Outgoing:
        """Return the answer to the request that is there, no byte of it sent. Raises BadRequestError."""
        head = connection.take_head()
        request = head.request
        response = self._ask(request)
        if not response.to_stranger:
            self._places.know(connection)
        # When more than half of the connections are taken, idle ones must not keep others waiting.
        connection.closing = not head.keep_alive or self.is_stopping or self._is_crowded()
        connection.drains = head.has_body
        self._metrics.answered(request.method, request.path, response.status)
        return connection.answer(response, head_only=request.method == "HEAD", moved=self._metrics.sent)

    def refuse(self, connection: Connection, error: BadRequestError) -> None:
        """Answer what is no request, as far as the client takes it at once, and end. Raises OSError."""
        self._metrics.add(Count.BAD_REQUEST)
        self._metrics.answered("", "", error.status)
        connection.closing = connection.drains = True
        response = error_response(error.status, "UNSUPPORTED", str(error))
        connection.answer(response, head_only=False, moved=self._metrics.sent)
        self.send(connection, patience=0)

    def send(self, connection: Connection, *, patience: float) -> bool:
        """Send until all is sent, or until the client takes little for ``patience`` seconds; then it is parked.

        Tell whether the connection wants its next request: then it is the caller's. Raises CutShortError, OSError.
        """
        outgoing = connection.outgoing
        if outgoing is not None and not outgoing.send(connection.transport, patience):
            if outgoing.drips(self._stall):  # the clock of TAKE begins anew with each byte that is taken
                _log.info("connection from %s ended: the client takes too little", connection.client)
                self._metrics.add(Count.STALLED)
                self._close(connection)
            else:
                self._room.park(connection, Wait.TAKE, select.EPOLLOUT)
            return False
        connection.finish()
        if not connection.closing:
            return True
        if connection.drains:
            connection.begin_drain()
            self._room.park(connection, Wait.DRAIN, select.EPOLLIN)
        else:
            connection.transport.end()
            self._close(connection)
        return False

    def has_next(self, connection: Connection) -> bool:
        """Tell whether the next request is there already; if not, the connection is parked. Raises as ``receive`` does."""
        if connection.may_have_more() and connection.receive():
            return True
        self._room.park(connection, Wait.HEAD if connection.has_begun else Wait.IDLE, select.EPOLLIN)
        return False

    def _ask(self, request: Request) -> Response:
        try:
            return self._app.handle(request)
        except Exception:  # noqa: BLE001 - the same edge
            # A bug of ours must not look like a network failure; the details are in our log, not the client's.
            _log.exception("%s %s failed", request.method, request.path)
            self._metrics.add(Count.BUG)
            return error_response(500, "UNKNOWN", "the registry failed; its log says why")
