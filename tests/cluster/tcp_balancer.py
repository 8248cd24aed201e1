"""A plain TCP load balancer as a site may have one: on the machine, which is none of the hosts, and knowing nothing of TLS."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from threading import Thread
from types import TracebackType
from typing import Self

_CHUNK = 65536


class TcpBalancer:
    """Sends every connection to the first backend that takes it, each time beginning with the next one."""

    def __init__(self, address: str, backends: Sequence[str], port: int = 6443) -> None:
        self._backends, self._port, self._turn = list(backends), port, 0
        self._listener = socket.create_server((address, 0))
        self.address = f"{address}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        self._turn += 1
        order = [self._backends[(self._turn + step) % len(self._backends)] for step in range(len(self._backends))]
        for backend in order:
            with contextlib.suppress(OSError), socket.create_connection((backend, self._port), timeout=1) as server:
                server.settimeout(None)
                back = Thread(target=_copy, args=(server, client), daemon=True)
                back.start()
                _copy(client, server)
                back.join()
                client.close()
                return
        client.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
