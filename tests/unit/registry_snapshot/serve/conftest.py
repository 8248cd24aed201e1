"""An app that answers from a file in several ways, clients of a real socket, and what a process has open."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_snapshot.serve.http_server import RegistryServer
from registry_snapshot.serve.messages import ExtentSlice, GrowingSlice, Request, Response
from registry_snapshot.store.base import Extent
from registry_snapshot.store.growth import Growth
from tests.unit.registry_snapshot.conftest import Authority
from tests.unit.registry_snapshot.images import noise

BODY = noise("body", 3_000_000)


class Scripted:
    """An app that answers from a file with bytes around it, in several ways."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(b"before" + BODY + b"after")
        self.requests: list[Request] = []
        self.release = threading.Event()
        self.growth: Growth | None = None

    def handle(self, request: Request) -> Response:
        self.requests.append(request)
        match request.path:
            case "/wait":
                self.release.wait(5)
            case "/bug":
                raise ZeroDivisionError("a bug of ours, with a secret")
            case "/short":
                return self._file(len(BODY) + 1000)
            case "/file":
                return self._file(len(BODY))
            case "/small":
                return self._file(5000)
            case "/empty":
                return self._file(0)
            case "/growing":
                assert self.growth is not None
                size = self.growth.size
                return Response(200, (("Content-Length", str(size)),), GrowingSlice(self.growth.follow(), 0, size))
        return Response(200, (("Content-Length", "2"), ("X-Bad", "a\r\nInjected: yes")), b"ok")

    def _file(self, size: int) -> Response:
        extent = Extent(os.open(self.path, os.O_RDONLY), 6, size)
        return Response(200, (("Content-Length", str(size)),), ExtentSlice(extent, 0, size))


@pytest.fixture
def app(tmp_path: Path) -> Scripted:
    return Scripted(tmp_path / "file")


def dial(server: RegistryServer, authority: Authority) -> socket.socket:
    sock = socket.create_connection(server.address, timeout=5)
    if server.tls is None:
        return sock
    return ssl.create_default_context(cafile=authority.ca_file).wrap_socket(sock, server_hostname="localhost")


def read_all(sock: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            data += piece
    return data


def say(server: RegistryServer, authority: Authority, raw: bytes) -> bytes:
    with dial(server, authority) as sock:
        sock.sendall(raw)
        return read_all(sock)


def eventually(told: Callable[[], bool], seconds: float = 5) -> bool:
    """Tell whether ``told`` becomes true."""
    until = time.monotonic() + seconds
    while not told() and time.monotonic() < until:
        time.sleep(0.005)
    return told()


def open_files() -> list[str]:
    """Return what this process has open, but for listing it."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(path.readlink()))
    return sorted(name for name in found if not name.startswith("/proc/"))
