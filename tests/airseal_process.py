"""``airseal record`` and ``airseal serve`` as processes, driven as a person drives them."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

_SECONDS = 120


@dataclass(frozen=True)
class Ended:
    """How a process ended, and what it said after it had begun."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Airseal:
    """A process that listens; ``wait_for`` is the event that says so and carries its URL."""

    def __init__(self, *words: str | Path, wait_for: str) -> None:
        command: Sequence[str | Path] = [sys.executable, "-m", "bundler", *words, "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == wait_for:
                parts = urlsplit(event["url"])
                self.address = parts.netloc
                self.host_and_port = (str(parts.hostname), int(parts.port or 0))
                return
        raise AssertionError(self.process.communicate())

    def get(self, target: str, method: str = "GET") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.address, timeout=20)
        try:
            connection.request(method, target)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def end(self, number: signal.Signals = signal.SIGTERM) -> Ended:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=_SECONDS)
        return Ended(self.process.returncode, out, err)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


@contextmanager
def ending_well(process: Airseal, number: signal.Signals) -> Iterator[Airseal]:
    """Yield ``process``, and end it with ``number`` where the block has not; what was not whole is a failure."""
    with process:
        yield process
        if process.process.poll() is None:
            ended = process.end(number)
            assert ended.code == 0, ended


def airseal(*words: str | Path) -> Ended:
    """Run one command to its end."""
    done = subprocess.run([sys.executable, "-m", "bundler", *words], capture_output=True, text=True, timeout=_SECONDS, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)
