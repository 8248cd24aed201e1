"""``airseal record`` and ``airseal serve`` as a person starts them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_SECONDS = 120


class Airseal:
    """One process that serves, from its first word to Ctrl-C. ``address`` is where; ``ended`` the last event it printed."""

    def __init__(self, *arguments: str | Path) -> None:
        command = [sys.executable, "-m", "bundler", *arguments, "--json"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.ended: dict[str, Any] = {}
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            if "url" in event:
                parts = urlsplit(event["url"])
                self.address = (str(parts.hostname), int(parts.port or 0))
                return
        raise AssertionError(self._process.communicate(timeout=_SECONDS)[1])

    def end(self) -> dict[str, Any]:
        """End it with Ctrl-C, once, and return what it said last. What was not whole is a failure."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            said, complaint = self._process.communicate(timeout=_SECONDS)
            assert self._process.returncode == 0, said + complaint
            events = [json.loads(line) for line in said.splitlines()]
            self.ended = events[-1] if events else {}
        return self.ended

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.end()
        elif self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
