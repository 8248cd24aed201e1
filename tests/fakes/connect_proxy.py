"""ConnectProxy: a real HTTP proxy on loopback for TLS (``CONNECT``), which sends every name to one port of this machine."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class ConnectProxy:
    """Tunnels to ``port``. ``asked`` holds every CONNECT's target and Proxy-Authorization; ``status`` other than 200 refuses."""

    def __init__(self, port: int, status: int = 200) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.status = status
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in tuple(self._threads):
            thread.join(10)
        for sock in (self._listener, *self._open):
            sock.close()

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                self._start(self._tunnel, client)

    def _tunnel(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client has gone
            self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = client.recv(4096)
            if not more:
                return
            head += more
        lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.asked.append((lines[0].split(" ")[1], fields.get("proxy-authorization")))
        client.sendall(f"HTTP/1.1 {self.status} X\r\n\r\n".encode())
        if self.status != 200:
            client.shutdown(socket.SHUT_RDWR)
            return
        server = socket.create_connection(("127.0.0.1", self._port))
        self._open.append(server)
        self._start(self._copy, server, client)
        self._copy(client, server)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
