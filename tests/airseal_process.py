"""``airseal record`` and ``airseal serve`` as processes, driven as a person drives them."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit


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
                self.address = urlsplit(event["url"]).netloc
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
        out, err = self.process.communicate(timeout=60)
        return Ended(self.process.returncode, out, err)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def airseal(*words: str | Path) -> Ended:
    """Run one command to its end."""
    done = subprocess.run([sys.executable, "-m", "bundler", *words], capture_output=True, text=True, timeout=60, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)
