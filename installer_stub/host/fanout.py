"""The same work on many hosts at once: all are waited for, all failures are reported together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

from installer_stub.errors import HostsFailed, InstallerError

T = TypeVar("T")

LIMIT = 32  # threads at a time: paramiko moves ~226 MB/s in one process however many there are, so more gain nothing


class Addressed(Protocol):
    """Anything that stands for one host."""

    @property
    def address(self) -> str:
        """The address as the operator wrote it."""


H = TypeVar("H", bound=Addressed)


def for_each(hosts: tuple[H, ...], work: Callable[[H], T], limit: int = LIMIT) -> dict[str, T]:
    """Return ``work(host)`` of every host by its address, in the order of ``hosts``, once all have ended.

    One failure is raised as it is, several InstallerErrors as HostsFailed. Any other exception is a mistake of ours and
    is raised as it is, before those.
    """
    results, failures = outcomes(hosts, work, limit)
    raise_any(failures.values())
    return results


def outcomes(hosts: tuple[H, ...], work: Callable[[H], T], limit: int = LIMIT) -> tuple[dict[str, T], dict[str, Exception]]:
    """Return what ``work`` returned and what it raised, each by address in the order of ``hosts``, once all have ended.

    Ctrl-C ends the waiting at once: the threads are daemons, and work that has not begun never does; what has begun ends
    when its connection is closed.
    """
    waiting: SimpleQueue[H] = SimpleQueue()
    results: dict[str, T] = {}
    failures: dict[str, Exception] = {}
    for host in hosts:
        waiting.put(host)

    def worker() -> None:
        while True:
            try:
                host = waiting.get_nowait()
            except Empty:
                return
            try:
                results[host.address] = work(host)
            except Exception as error:  # noqa: BLE001 - handed to the caller's thread
                failures[host.address] = error

    threads = [threading.Thread(target=worker, daemon=True) for _ in range(min(limit, len(hosts)))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        _drain(waiting)
        raise
    addresses = tuple(host.address for host in hosts)
    return {each: results[each] for each in addresses if each in results}, {each: failures[each] for each in addresses if each in failures}


def _drain(waiting: SimpleQueue[H]) -> None:
    while not waiting.empty():
        try:
            waiting.get_nowait()
        except Empty:
            return


def raise_any(failures: Iterable[Exception]) -> None:
    """Raise what ``for_each`` raises for ``failures``; return if there are none."""
    foreseen: list[InstallerError] = []
    mistakes: list[Exception] = []
    for failure in failures:
        if isinstance(failure, InstallerError):
            foreseen.append(failure)
        else:
            mistakes.append(failure)
    if mistakes:
        for other in (*mistakes[1:], *foreseen):
            mistakes[0].add_note(f"also: {other}")
        raise mistakes[0]
    if len(foreseen) == 1:
        raise foreseen[0]
    if foreseen:
        raise HostsFailed(foreseen)
