"""Lease: a container of a build ends by itself when nobody renews it any more, wherever its engine is.

A build that was killed cannot remove what it made, and where the engine is another machine's nobody can tell by a process that
its owner is gone. So a container counts: every tick that finds no mark brings it nearer to its end, and the build leaves a
mark again and again. Ticks are counted, not hours compared: clocks that jump and machines that slept end nothing.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Final, Self

from bundler.engine import Engine

TICK: Final = 10  # seconds
TICKS: Final = 90  # without a mark, and it ends
SECONDS: Final = TICK * TICKS
RENEWED_EVERY: Final = 60.0  # seconds
MARK: Final = "/run/airseal.lease"
# systemd(1), SIGRTMIN+13: "Immediately halts the machine". By number, because dash's kill has no name for it.
HALT: Final = "kill -47 1"


def until_its_end(mark: str = MARK, tick: str = f"sleep {TICK}", ticks: int = TICKS) -> str:
    """Return a text for /bin/sh that ends ``ticks`` ticks after the last mark."""
    return f"n=0; while [ $n -lt {ticks} ] && {tick}; do n=$((n+1)); if [ -e {mark} ]; then rm -f {mark}; n=0; fi; done"


class Lease:
    """Renews containers for as long as the ``with`` lasts."""

    def __init__(self, engine: Engine, every: float = RENEWED_EVERY) -> None:
        self._engine, self._every = engine, every
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(1)  # one that waits for the engine is left to itself

    def hold(self, container: str) -> None:
        """Renew this one too."""
        with self._lock:
            self._held.add(container)

    def drop(self, container: str) -> None:
        """Renew it no more. One that was never held is as good."""
        with self._lock:
            self._held.discard(container)

    def renew(self) -> None:
        """Leave a mark in each. What cannot be reached now is tried again the next time: a lease is many of them long."""
        import docker.errors
        import requests

        api = self._engine.client.api
        with self._lock:
            held = sorted(self._held)
        for each in held:
            with suppress(docker.errors.DockerException, requests.RequestException):
                made = api.exec_create(each, ["touch", MARK], stdout=False, stderr=False)
                api.exec_start(made["Id"], detach=True)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            self.renew()
