"""A peer must keep a pace; only waiting for it counts, not what we do in between."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from registry_snapshot.record import pace
from registry_snapshot.record.pace import PACE_BYTES, PacedResponse


class Clock:
    """A monotonic clock that tests move; ``step`` passes at every look."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = 0.0

    def monotonic(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, peer = socket.socketpair()
    ours.settimeout(60)
    with ours, peer:
        yield ours, peer


def begun(pair: tuple[socket.socket, socket.socket], size: int) -> PacedResponse:
    pair[1].sendall(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % size)
    response = PacedResponse(pair[0])
    response.begin()
    return response


def test_a_reader_that_takes_its_time_is_not_the_peers_fault(clock: Clock, pair: tuple[socket.socket, socket.socket]) -> None:
    with begun(pair, 30) as response:
        for _ in range(3):
            pair[1].sendall(b"x" * 10)
            clock.now += 3600  # a slow disk, between two reads
            assert response.read1(10) == b"x" * 10


def test_too_few_bytes_in_the_time_of_one_silence_are_too_few(clock: Clock, pair: tuple[socket.socket, socket.socket]) -> None:
    clock.step = 25  # each wait for bytes takes that long
    with begun(pair, PACE_BYTES) as response:
        for _ in range(2):
            pair[1].sendall(b"x")
            assert response.read1(10) == b"x"
        pair[1].sendall(b"x")
        with pytest.raises(TimeoutError, match=f"fewer than {PACE_BYTES} bytes in 60 seconds"):
            response.read1(10)


def test_a_slow_pace_that_is_kept_may_last(clock: Clock, pair: tuple[socket.socket, socket.socket]) -> None:
    clock.step = 50
    with begun(pair, PACE_BYTES * 20) as response:
        for _ in range(20):
            pair[1].sendall(b"x" * PACE_BYTES)
            assert len(response.read1(PACE_BYTES)) == PACE_BYTES


def test_the_end_is_never_too_late(clock: Clock, pair: tuple[socket.socket, socket.socket]) -> None:
    clock.step = 50
    pair[1].sendall(b"HTTP/1.1 200 X\r\n\r\nx")
    pair[1].shutdown(socket.SHUT_WR)
    response = PacedResponse(pair[0])
    response.begin()
    assert response.read() == b"x"
