"""Flights: the same work, asked for by many threads at once, is done once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(slots=True)
class _Flight(Generic[Value]):
    owner: Hashable
    landed: threading.Event = field(default_factory=threading.Event)
    values: list[Value] = field(default_factory=list)
    error: Exception | None = None


class Flights(Generic[Key, Value]):
    """One flight per key. The first to ask does the work in its own thread; the others wait for it."""

    def __init__(self) -> None:
        self._flying: dict[Key, _Flight[Value]] = {}
        self._lock = threading.Lock()

    def run(self, key: Key, owner: Hashable, work: Callable[[], Value]) -> Value:
        """Return what ``work`` returns, done by this thread or by the one that flies already.

        A failure is everybody's who has the same ``owner``; others try for themselves, since a blob that one
        repository refuses may be open in another.
        """
        while True:
            with self._lock:
                flight = self._flying.get(key)
                mine = flight is None
                if flight is None:
                    flight = self._flying[key] = _Flight(owner)
            if mine:
                return self._fly(key, flight, work)
            flight.landed.wait()
            if flight.error is None:
                return flight.values[0]
            if flight.owner == owner:
                raise flight.error

    def _fly(self, key: Key, flight: _Flight[Value], work: Callable[[], Value]) -> Value:
        try:
            value = work()
        except BaseException as error:
            flight.error = error if isinstance(error, Exception) else RuntimeError("interrupted")
            raise
        else:
            flight.values.append(value)
            return value
        finally:
            with self._lock:
                del self._flying[key]
            flight.landed.set()
