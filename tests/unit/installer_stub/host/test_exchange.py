"""Channels at their worst, without any network: a process behind pipes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from installer_stub.host.exchange import NO_STATUS, Send, TooMuchOutput, exchange


class ProcessChannel:
    """A local process in the shape of a channel. Closing it ends the process and gives no status."""

    def __init__(self, script: str) -> None:
        pipe = subprocess.PIPE
        argv = ["/bin/sh", "-c", script]
        self._process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
        self._closed = False

    def recv(self, nbytes: int) -> bytes:
        assert self._process.stdout
        return self._process.stdout.read1(nbytes)  # type: ignore[attr-defined,no-any-return]

    def recv_stderr(self, nbytes: int) -> bytes:
        assert self._process.stderr
        return self._process.stderr.read1(nbytes)  # type: ignore[attr-defined,no-any-return]

    def sendall(self, s: bytes) -> None:
        assert self._process.stdin
        self._process.stdin.write(s)
        self._process.stdin.flush()

    def shutdown_write(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()

    def recv_exit_status(self) -> int:
        return NO_STATUS if self._closed else self._process.wait()

    def close(self) -> None:
        self._closed = self._process.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its children hold the pipes open

    def dispose(self) -> None:
        self._process.wait(5)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                assert stream
                stream.close()


@pytest.fixture
def channel() -> Iterator[Callable[[str], ProcessChannel]]:
    made: list[ProcessChannel] = []

    def make(script: str) -> ProcessChannel:
        made.append(ProcessChannel(script))
        return made[-1]

    yield make
    time.sleep(0.05)  # readers end when they see the end of their stream
    for one in made:
        one.dispose()


Make = Callable[[str], ProcessChannel]


def sending(*pieces: bytes):
    def feed(send: Send) -> None:
        for piece in pieces:
            send(piece)

    return feed


def test_streams_and_status(channel: Make) -> None:
    outcome = exchange(channel("cat; echo err >&2; exit 4"), sending(b"in", b"put"))
    assert (outcome.status, outcome.stdout, outcome.stderr, outcome.late) == (4, b"input", b"err\n", False)


def test_both_streams_full_while_stdin_is_written(channel: Make) -> None:
    script = "head -c 3000000 /dev/zero >&2; cat; head -c 3000000 /dev/zero"
    outcome = exchange(channel(script), sending(*[bytes(100_000)] * 20))
    assert (len(outcome.stdout), len(outcome.stderr)) == (5_000_000, 3_000_000)


def test_a_command_that_stops_listening_is_no_error(channel: Make) -> None:
    outcome = exchange(channel("exit 3"), sending(*[bytes(100_000)] * 50))
    assert outcome.status == 3


def test_what_the_feed_raises_passes_through(channel: Make) -> None:
    def feed(send: Send) -> None:
        send(b"x")
        raise OSError("the source's disk")

    with pytest.raises(OSError, match="the source's disk"):
        exchange(channel("exec cat"), feed)


def test_a_deadline_closes_the_channel(channel: Make) -> None:
    begun = time.monotonic()
    outcome = exchange(channel("exec sleep 30"), sending(), deadline=0.2)
    assert outcome.late
    assert outcome.status == NO_STATUS
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "script",
    ["cat /dev/zero", "cat /dev/zero >&2", "cat /dev/zero | tr '\\0' '\\n'", "cat /dev/zero; exit 0", "cat /dev/zero & cat /dev/zero >&2"],
)
def test_a_host_that_never_stops_talking_is_stopped(channel: Make, script: str) -> None:
    with pytest.raises(TooMuchOutput, match="more than 1000000 bytes"):
        exchange(channel(script), sending(), limit=1_000_000)


def test_one_that_stops_at_the_limit_is_heard_to_the_end(channel: Make) -> None:
    outcome = exchange(channel("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; exit 3"), sending(), limit=1_000_000)
    assert (outcome.status, len(outcome.stdout), len(outcome.stderr)) == (3, 1_000_000, 1_000_000)


def test_one_that_talks_while_it_is_sent_gigabytes_is_stopped_too(channel: Make) -> None:
    def endless(send: Send) -> None:
        while True:
            send(bytes(100_000))

    with pytest.raises(TooMuchOutput):
        exchange(channel("exec cat"), endless, limit=1_000_000)


@pytest.mark.parametrize("stream", ["recv", "recv_stderr"])
def test_a_reader_that_dies_is_not_taken_for_the_end_of_what_was_said(channel: Make, stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without memory, say: half an answer with the status 0 would be believed."""
    talking = channel("echo half; echo half >&2; exec sleep 60")
    heard = getattr(talking, stream)
    answers = iter([heard(4)])

    def receive(nbytes: int) -> bytes:
        del nbytes
        if (first := next(answers, None)) is None:
            raise MemoryError
        return bytes(first)

    monkeypatch.setattr(talking, stream, receive)
    with pytest.raises(MemoryError):
        exchange(talking, sending())
