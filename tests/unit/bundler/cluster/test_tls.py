"""A tunnel to an engine behind TLS is a socket like any other: one direction ends, the other goes on; and nobody else is trusted."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from bundler.cluster.tls import tunnel
from installer_stub.hostside.service import server_tls
from installer_stub.pki import authority
from installer_stub.pki.registry import RegistryFiles, issue

Serve = Callable[[ssl.SSLSocket], None]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> RegistryFiles:
    root = tmp_path_factory.mktemp("pki")
    made = RegistryFiles(root / "authority", root / "crt", root / "key")
    now = dt.datetime.now(dt.UTC)
    authority.make(made.authority, now)
    issue(made, ["127.0.0.1"], [], dt.timedelta(days=1), now)
    return made


@pytest.fixture
def listens(files: RegistryFiles) -> Iterator[Callable[[Serve], tuple[str, int]]]:
    """Return where something answers by ``serve``, once."""
    settings = server_tls(files.certificate, files.key)
    assert settings
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def run(serve: Serve) -> tuple[str, int]:
            def answer() -> None:
                sock, _ = listener.accept()
                try:
                    with settings.wrap_socket(sock, server_side=True) as over:
                        serve(over)
                except OSError:  # a client that trusts nobody hangs up
                    pass

            threading.Thread(target=answer, daemon=True).start()
            host, port = listener.getsockname()
            return host, port

        yield run


def trusting(files: RegistryFiles) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(files.authority / authority.CERTIFICATE))


def read_all(sock: socket.socket) -> bytes:
    data = bytearray()
    while piece := sock.recv(1 << 16):
        data += piece
    return bytes(data)


def test_what_is_said_after_our_end_is_heard(files: RegistryFiles, listens: Callable[[Serve], tuple[str, int]]) -> None:
    def serve(over: ssl.SSLSocket) -> None:
        over.sendall(b"before ")
        got = read_all(over)
        over.sendall(b"after " + got)

    with tunnel(listens(serve), trusting(files)) as sock:
        sock.settimeout(10)
        sock.sendall(b"words")
        assert sock.recv(7) == b"before "
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b"after words"


def test_both_directions_are_full_and_neither_waits_for_the_other(files: RegistryFiles, listens: Callable[[Serve], tuple[str, int]]) -> None:
    data = bytes(range(256)) * (16 << 12)  # 16 MiB: more than all buffers between

    def echo(over: ssl.SSLSocket) -> None:
        while piece := over.recv(1 << 16):
            over.sendall(piece)

    with tunnel(listens(echo), trusting(files)) as sock:
        sock.settimeout(30)

        def write() -> None:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

        writer = threading.Thread(target=write)
        writer.start()
        assert read_all(sock) == data
        writer.join()


def test_who_hangs_up_here_hangs_up_there(files: RegistryFiles, listens: Callable[[Serve], tuple[str, int]]) -> None:
    over = threading.Event()

    def serve(peer: ssl.SSLSocket) -> None:
        while read_all(peer):
            pass
        while True:  # a program that says something until nobody is there
            try:
                peer.sendall(b"x" * 4096)
            except OSError:
                break
        over.set()

    tunnel(listens(serve), trusting(files)).close()
    assert over.wait(20)


def test_a_stranger_is_no_engine(files: RegistryFiles, listens: Callable[[Serve], tuple[str, int]]) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        tunnel(listens(lambda over: over.sendall(b"x")), ssl.create_default_context())
