"""Threads: as many as there is work for, up to a bound, and gone when there is none."""

from __future__ import annotations

import threading

import pytest

from registry_snapshot.serve import workers
from registry_snapshot.serve.workers import Workers
from tests.unit.registry_snapshot.serve.conftest import eventually


def test_threads_grow_to_the_bound_and_what_is_more_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_IDLE_SECONDS", 0.05)
    begun, gate = threading.Semaphore(0), threading.Event()
    done: list[int] = []

    def work(item: int) -> None:
        begun.release()
        gate.wait(5)
        done.append(item)

    pool = Workers(work, 3, "test-worker")
    for item in range(10):
        pool.submit(item)
    for _ in range(3):
        assert begun.acquire(timeout=5)
    assert (pool.count, pool.are_all_busy, begun.acquire(blocking=False)) == (3, True, False)
    gate.set()
    assert eventually(lambda: sorted(done) == list(range(10)))
    assert eventually(lambda: pool.count == 0)
    pool.submit(10)
    assert eventually(lambda: 10 in done)
    pool.close(5)
    assert pool.count == 0


def test_one_after_another_needs_one_thread() -> None:
    done = threading.Semaphore(0)
    pool = Workers(lambda _: done.release(), 8, "test-worker")
    for item in range(50):
        pool.submit(item)
        assert done.acquire(timeout=5)
        assert eventually(lambda: pool._free == pool.count)
    assert pool.count == 1
    pool.close(5)


def test_a_bug_ends_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    def work(item: int) -> None:
        done.append(1 // item)

    pool = Workers(work, 1, "test-worker")
    for item in (0, 0, 1):
        pool.submit(item)
    assert eventually(lambda: done == [1])
    pool.close(5)
    assert caplog.text.count("ZeroDivisionError") == 2


def test_without_any_thread_the_item_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool: Workers[int] = Workers(lambda _: None, 4, "test-worker")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", full)
        with pytest.raises(RuntimeError, match="can't start"):
            pool.submit(1)
    done = threading.Event()
    pool._work = lambda _: done.set()
    pool.submit(2)
    assert done.wait(5)
    pool.close(5)
