"""RegistryServer: HTTP/1.1 and HTTPS around an app, for very many clients of whom few do something at a time.

One thread, the loop, holds all sockets in one epoll: it shakes hands, reads heads, and waits for whoever is slow. It hands
a connection to a worker thread only when a whole request is there, or when a client can take more of a large answer. So a
thread is never spent on waiting for a client; a worker may wait, for minutes, for the upstream of a recording.

With ``inline`` the app waits for nothing but the disk, and the loop asks it itself: small answers never change threads.
Decisions and figures: docs/adr/0008.
"""

from __future__ import annotations

import errno
import socket
import ssl
import threading
from types import TracebackType
from typing import Self

from registry_snapshot.errors import StoreError
from registry_snapshot.serve.limits import Limits
from registry_snapshot.serve.loop import Loop
from registry_snapshot.serve.messages import App
from registry_snapshot.serve.metrics import Metrics

__all__ = ["App", "Limits", "RegistryServer"]

_BACKLOG = 1024  # the kernel takes the smaller of this and net.core.somaxconn


class RegistryServer:
    """Serves ``app`` at ``address`` (host, port; port 0 picks one), with TLS if ``tls`` is given.

    ``inline`` says that the app waits for nothing but this machine's disk; ``metrics`` is what it counts into.

    Binds at once: raises StoreError if the address is taken or not ours. Use ``with`` (starts a background thread and
    stops at the end), ``start``/``stop``, or ``serve_forever``.
    """

    def __init__(
        self,
        app: App,
        address: tuple[str, int],
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        *,
        metrics: Metrics | None = None,
        inline: bool = False,
    ) -> None:
        self._listener = _bind(address)
        host, port = self._listener.getsockname()[:2]
        self.address: tuple[str, int] = (str(host), int(port))
        """The host and the real port."""
        self.tls = tls
        self.metrics = metrics or Metrics()
        self._loop = Loop(app, self._listener, tls=tls, limits=limits or Limits(), metrics=self.metrics, inline=inline)
        self._thread: threading.Thread | None = None
        self._is_stopped = False

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._loop.connections

    @property
    def threads(self) -> int:
        """How many threads answer, besides the loop."""
        return self._loop.threads

    def start(self) -> None:
        """Begin to serve in a background thread."""
        self._thread = threading.Thread(target=self._loop.run, name="registry-loop", daemon=True)
        self._thread.start()

    def serve_forever(self) -> None:
        """Serve in this thread until ``stop`` is called, from another thread or a signal handler."""
        self._thread = threading.current_thread()
        self._loop.run()

    def stop(self) -> None:
        """Stop accepting, close idle connections, let running answers end for a few seconds, cut what is left.

        May be called twice. In a signal handler of the thread that serves it returns at once; ``serve_forever`` then ends.
        """
        if self._is_stopped:
            return
        self._is_stopped = True
        self._loop.ask_to_stop()
        if self._thread is None:
            self._loop.close()
        elif self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _bind(address: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        listener = socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        raise _bind_error(error, address) from error
    listener.setblocking(False)
    return listener


def _bind_error(error: OSError, address: tuple[str, int]) -> StoreError:
    host, port = address
    if error.errno == errno.EADDRINUSE:
        return StoreError(f"{host}:{port} is in use", f"stop what listens there (ss -ltnp sport = :{port}), or choose another port")
    return StoreError(f"cannot listen on {host}:{port}: {error.strerror or error}", "choose an address of this host")
