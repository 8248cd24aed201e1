"""Closures: what makes images whole in the background, and what became of it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.puller import Puller

_MOST_FAILURES = 10_000  # names that clients make up are forgotten beyond that; one is enough to fail a build
_AT_ONCE = 4  # images of one registry; the transfers inside them have their own bound

Closure = tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class PullFailure:
    """A pull that did not succeed, and not later either."""

    reference: Reference
    error: RegistryError
    client: str


class Closures:
    """Completes images with ``puller``, a few of each registry at once. Safe for threads."""

    def __init__(self, puller: Puller) -> None:
        self._puller = puller
        self._workers: dict[str, ThreadPoolExecutor] = {}
        self._running: dict[Reference, Future[Closure]] = {}
        self._failures: dict[Reference, PullFailure] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._active = 0
        self._last_activity = time.monotonic()

    @property
    def in_flight(self) -> int:
        """How many requests are being answered, closures completed and blobs transferred now."""
        with self._lock:
            return self._active + self._puller.in_flight

    @property
    def last_activity(self) -> float:
        """The monotonic time of the last request or end of a closure, in seconds."""
        with self._lock:
            return self._last_activity

    @contextlib.contextmanager
    def activity(self) -> Iterator[None]:
        """Count what happens inside ``with`` as in flight."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def begin(self, reference: Reference, descriptor: Descriptor, client: str) -> None:
        """Begin to complete ``reference``, unless that is under way or done. One that failed is begun again.

        Raises RegistryError after ``close``.
        """
        with self._lock:
            running = self._running.get(reference)
            if running is not None and not (running.done() and (running.cancelled() or running.exception())):
                return
            if self._closed:
                raise RegistryError(f"{reference} was asked for after the recording had ended", "record again")
            registry = reference.repository.registry
            if registry not in self._workers:
                self._workers[registry] = ThreadPoolExecutor(_AT_ONCE, f"closures of {registry}")
            future = self._workers[registry].submit(self._puller.complete, reference.repository, descriptor)
            self._active += 1
            self._running[reference] = future
        future.add_done_callback(partial(self._completed, reference, client))

    def result(self, reference: Reference) -> Closure:
        """Wait for a closure that was begun, and return it. Raises what it failed with."""
        with self._lock:
            running = self._running[reference]
        return running.result()

    def failed(self, reference: Reference, error: RegistryError, client: str) -> None:
        """Remember that a pull did not succeed."""
        with self._lock:
            if reference in self._failures or len(self._failures) < _MOST_FAILURES:
                self._failures[reference] = PullFailure(reference, error, client)

    def failures(self) -> tuple[PullFailure, ...]:
        """Return pulls that failed and never succeeded afterwards, sorted by reference."""
        with self._lock:
            return tuple(sorted(self._failures.values(), key=lambda failure: str(failure.reference)))

    def stop(self) -> None:
        """Begin nothing more; what is queued is cancelled."""
        with self._lock:
            self._closed = True
            workers = tuple(self._workers.values())
        for pool in workers:
            pool.shutdown(wait=False, cancel_futures=True)

    def join(self) -> None:
        """Wait for what is under way to end; after ``stop``, and after the puller was closed."""
        for pool in tuple(self._workers.values()):
            pool.shutdown(wait=True)

    def _completed(self, reference: Reference, client: str, future: Future[Closure]) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, RegistryError):
            self.failed(reference, error, client)
        elif error is None:
            with self._lock:
                self._failures.pop(reference, None)
        self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._active += change
            self._last_activity = time.monotonic()
