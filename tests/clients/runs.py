"""The runs of all clients, each made when it is first asked for, and once."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.clients.client import Client
from tests.clients.kubelet import BedWorld
from tests.clients.matrix import client_named, machine_platform
from tests.clients.run import Offer, Run, whole_run
from tests.clients.world import World, namespace
from tests.testbed.cache import Cache
from tests.testbed.hosts import TestBed
from tests.testbed.parts import Parts

_KUBELET = "kubelet"


class Runs:
    """Runs of one upstream's offer. The worlds they happen in stay until the end of the ``with``."""

    def __init__(self, cache: Cache, directory: Path) -> None:
        self._cache, self._directory = cache, directory
        self.parts = Parts(cache)
        self._done: dict[str, Run | Exception] = {}
        self._stack = ExitStack()
        self._bed: BedWorld | None = None

    def __enter__(self) -> Self:
        self._namespace = self._stack.enter_context(namespace(self._cache))
        registry, crane = self.parts.out("registry") / "registry", self.parts.out("crane") / "crane"
        self.offer = Offer.make(self._directory / "offer", registry, crane, machine_platform())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def client(self, name: str) -> Client:
        return client_named(name, self.parts)

    def of(self, name: str) -> Run:
        """Return a client's run; what stopped it the first time stops it again."""
        if name not in self._done:
            try:
                self._done[name] = whole_run(self.client(name), self.world(name), self.offer, self.directory(name))
            except Exception as error:  # noqa: BLE001 - every test of this client is to say why
                self._done[name] = error
        done = self._done[name]
        if isinstance(done, Exception):
            raise done
        return done

    def finished(self) -> dict[str, Run]:
        """Return the runs so far that came to their end."""
        return {name: run for name, run in self._done.items() if isinstance(run, Run)}

    def directory(self, name: str) -> Path:
        """Return a new directory. Its name is short: a socket's path has 107 characters at most."""
        made = self._directory / name
        made.mkdir()
        return made

    def world(self, name: str) -> World:
        """Return where a client runs."""
        if name != _KUBELET:
            return self._namespace
        if self._bed is None:
            self._bed = BedWorld(self._stack.enter_context(TestBed(masters=1, name="clients", dns="site", cache=self._cache)))
        return self._bed
