"""All hosts are worked on, all failures told; Ctrl-C does not wait."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from installer_stub.errors import HostError, HostsFailed
from installer_stub.host.fanout import for_each
from installer_stub.host.model import Host, Role

HOSTS = tuple(Host(f"10.0.0.{n}", Role.NODE) for n in range(1, 6))


def test_results_by_address_in_order() -> None:
    assert list(for_each(HOSTS, lambda host: host.address[-1]).items()) == [(f"10.0.0.{n}", str(n)) for n in range(1, 6)]
    assert for_each((), str) == {}


def test_at_the_same_time_but_not_more_than_the_limit() -> None:
    now, most, lock = 0, 0, threading.Lock()

    def work(_: Host) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1

    for_each(HOSTS, work, limit=2)
    assert most == 2


def test_one_failure_is_itself_after_all_have_ended() -> None:
    done = []

    def work(host: Host) -> None:
        if host.address.endswith("1"):
            raise HostError(host.address, "is broken", "repair it")
        time.sleep(0.05)
        done.append(host)

    with pytest.raises(HostError, match=r"10\.0\.0\.1: is broken"):
        for_each(HOSTS, work)
    assert len(done) == 4


def test_several_failures_are_told_together_in_order() -> None:
    def work(host: Host) -> None:
        if host.address[-1] in "24":
            raise HostError(host.address, "is broken", "repair it")

    with pytest.raises(HostsFailed) as caught:
        for_each(HOSTS, work)
    assert [str(failure).splitlines()[0] for failure in caught.value.failures] == ["10.0.0.2: is broken", "10.0.0.4: is broken"]
    assert str(caught.value).count("what to do: repair it") == 2


def test_a_mistake_of_ours_comes_first_and_mentions_the_rest() -> None:
    def work(host: Host) -> None:
        if host.address.endswith("1"):
            raise HostError(host.address, "is broken")
        if host.address.endswith("3"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        for_each(HOSTS, work)
    assert caught.value.__notes__ == ["also: 10.0.0.1: is broken"]


def test_ctrl_c_does_not_wait_for_the_slow_and_begins_nothing_new() -> None:
    begun, let_go = [], threading.Event()

    def work(host: Host) -> None:
        begun.append(host)
        let_go.wait(20)

    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for_each(HOSTS, work, limit=2)
    assert time.monotonic() - start < 5
    let_go.set()
    time.sleep(0.1)
    assert len(begun) == 2
