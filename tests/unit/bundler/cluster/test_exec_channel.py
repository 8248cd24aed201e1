"""A command in a container is a Channel: both outputs apart, stdin ended, the status waited for."""

from __future__ import annotations

import io
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bundler.cluster.connection import DockerConnection
from installer_stub.errors import CommandFailed, HostUnreachable
from installer_stub.host.command import Command, Secret
from installer_stub.host.model import Host, Role

Program = Callable[[list[str], socket.socket], int]


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxI", stream, len(data)) + data


class FakeDocker:
    """The exec part of APIClient; ``program`` is what runs: it gets argv and its end of the connection."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._argv: list[str] = []
        self._state: dict[str, Any] = {}
        self.argvs: list[list[str]] = []

    def exec_create(self, container: str, argv: list[str], **_: Any) -> dict[str, str]:
        self.argvs.append(argv)
        return {"Id": f"exec-{container}"}

    def exec_start(self, _id: str, **_: Any) -> Any:
        ours, theirs = socket.socketpair()
        self._state = {"Running": True, "ExitCode": None}

        def serve() -> None:
            with theirs:
                status = self._program(self.argvs[-1], theirs)
            self._state = {"Running": False, "ExitCode": status}

        threading.Thread(target=serve, daemon=True).start()
        raw = ours.makefile("rb")
        raw._sock = ours  # type: ignore[attr-defined]
        return raw

    def exec_inspect(self, _id: str) -> dict[str, Any]:
        return self._state


def connection(program: Program) -> tuple[DockerConnection, FakeDocker]:
    fake = FakeDocker(program)
    return DockerConnection(fake, "c1", Host("172.18.0.2", Role.MASTER)), fake  # type: ignore[arg-type]


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def test_outputs_and_status() -> None:
    def program(_argv: list[str], sock: socket.socket) -> int:
        read_all(sock)
        sock.sendall(frame(1, b"out") + frame(2, b"err") + frame(1, b"put"))
        return 3

    host, _ = connection(program)
    result = host.run(Command.of("x"), check=False)
    assert (result.status, result.stdout, result.stderr) == (3, "output", "err")


def test_large_input_and_output_at_once() -> None:
    """Neither side may wait for the other: stdin is written while output is read."""
    data = bytes(5_000_000)

    def echo(_argv: list[str], sock: socket.socket) -> int:
        while piece := sock.recv(65536):
            sock.sendall(frame(1, piece))
        return 0

    host, _ = connection(echo)
    assert len(host.run(Command("cat", stdin=data)).stdout) == len(data)


def test_a_secret_is_on_stdin_and_nowhere_else() -> None:
    def program(_argv: list[str], sock: socket.socket) -> int:
        got = read_all(sock)
        sock.sendall(frame(2, b"refused " + got))
        return 1

    host, fake = connection(program)
    with pytest.raises(CommandFailed) as caught:
        host.run(Command.of("login", stdin=Secret("hunter2")))
    assert "hunter2" not in str(fake.argvs)
    assert "hunter2" not in str(caught.value)
    assert "refused ******" in str(caught.value)


def test_a_timeout_is_also_the_container_s() -> None:
    host, fake = connection(lambda _argv, sock: len(read_all(sock)) * 0 + 124)
    with pytest.raises(CommandFailed, match="did not end within 5 s"):
        host.run(Command.of("sleep", "100"), timeout=5)
    assert "timeout -k 5 5 /bin/sh" in fake.argvs[0][2]


def test_a_container_that_goes_away() -> None:
    def program(_argv: list[str], _sock: socket.socket) -> int:
        return None  # type: ignore[return-value]

    host, fake = connection(program)
    import docker.errors

    def gone(_id: str) -> dict[str, Any]:
        raise docker.errors.NotFound("no such exec")

    fake.exec_inspect = gone  # type: ignore[method-assign]
    with pytest.raises(HostUnreachable, match="has gone away"):
        host.run(Command.of("x"))


def test_close_ends_what_runs() -> None:
    began, over = threading.Event(), threading.Event()

    def program(_argv: list[str], sock: socket.socket) -> int:
        read_all(sock)
        began.set()
        over.wait(10)
        return 0

    host, _ = connection(program)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            host.run(Command.of("sleep", "1000"))
        except HostUnreachable as error:
            errors.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    assert began.wait(5)
    host.close()
    worker.join(5)
    over.set()
    assert not worker.is_alive()
    assert len(errors) == 1
    with pytest.raises(HostUnreachable, match="is closed"):
        host.run(Command.of("true"))


def test_read_tells_a_missing_file_from_an_empty_one() -> None:
    answers = iter([(44, b""), (0, b""), (0, b"text")])

    def program(_argv: list[str], sock: socket.socket) -> int:
        status, data = next(answers)
        if data:
            sock.sendall(frame(1, data))
        return status

    host, _ = connection(program)
    assert [host.read("/x"), host.read("/x"), host.read("/x")] == [None, b"", b"text"]


def test_put_sends_all_and_compares_the_hash() -> None:
    import hashlib

    received = bytearray()

    def program(argv: list[str], sock: socket.socket) -> int:
        data = read_all(sock)
        if "sha256sum" in argv[2]:
            received.extend(data)
            sock.sendall(frame(1, f"{hashlib.sha256(data).hexdigest()}  -\n".encode()))
        return 0

    host, _ = connection(program)
    moved: list[int] = []
    host.put(io.BytesIO(b"stub" * 100_000), "/opt/airseal/bin/airseal", size=400_000, mode=0o755, moved=moved.append)
    assert bytes(received) == b"stub" * 100_000
    assert sum(moved) == 400_000
