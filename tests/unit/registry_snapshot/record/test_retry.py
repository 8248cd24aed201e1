"""How long an upstream is waited for, and that everybody who wants something of it waits in one queue."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.errors import TransferStopped, UpstreamError
from registry_snapshot.record.retry import (
    ATTEMPTS,
    LONGEST_LIMIT,
    Attempts,
    Patience,
    TransientError,
    retry_after,
)
from tests.unit.registry_snapshot.conftest import Naps


def limited(wait: float | None = None) -> TransientError:
    return TransientError(UpstreamError("docker.io answered HTTP 429", status=429), wait, limited=True)


def broken() -> TransientError:
    return TransientError(UpstreamError("it broke"))


def ask(patience: Patience, failure: TransientError | None = None) -> None:
    with patience.turn():
        if failure is not None:
            raise failure


def test_a_limit_holds_back_every_request_for_as_long_as_it_asks(naps: Naps) -> None:
    patience = Patience(naps.sleep, naps.clock)
    ask(patience)
    assert naps.taken == []
    with pytest.raises(TransientError):
        ask(patience, limited(40))
    ask(patience)
    assert naps.taken == [40]
    ask(patience)
    assert naps.taken == [40]


def test_a_limit_that_never_ends_fails_with_its_own_error(naps: Naps) -> None:
    patience = Patience(naps.sleep, naps.clock)
    for _ in range(6):
        with pytest.raises(TransientError):
            ask(patience, limited(100_000))  # nobody waits that long without asking again
    with pytest.raises(UpstreamError, match="429"):
        ask(patience, limited(60))
    assert naps.taken == [300] * 6
    assert sum(naps.taken) == LONGEST_LIMIT
    ask(patience)  # the next in the queue asks all the same, and an answer ends the limit
    with pytest.raises(TransientError):
        ask(patience, limited(1))


def test_without_a_word_on_how_long_waits_grow(naps: Naps) -> None:
    patience = Patience(naps.sleep, naps.clock)
    for _ in range(9):
        with pytest.raises(TransientError):
            ask(patience, limited())
    assert naps.taken == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_while_a_limit_lasts_one_request_asks_and_the_others_wait_for_its_answer() -> None:
    """Eight threads; nothing but events orders them."""
    asked = threading.Semaphore(0)
    go_on = threading.Semaphore(0)
    inside: list[int] = []
    most: list[int] = []
    lock = threading.Lock()
    patience = Patience(lambda seconds: None, lambda: float("inf"))
    with pytest.raises(TransientError):
        ask(patience, limited(5))
    refusals = [limited(5), limited(5)]

    def client() -> None:
        attempts = Attempts(patience)
        while True:
            try:
                with patience.turn():
                    with lock:
                        inside.append(1)
                        most.append(len(inside))
                        refusal = refusals.pop() if refusals else None
                    asked.release()
                    if refusal is not None or len(most) == 3:
                        go_on.acquire(timeout=20)
                    with lock:
                        inside.pop()
                    if refusal is not None:
                        raise refusal
            except TransientError as failure:
                attempts.failed(failure)
            else:
                return

    with ThreadPoolExecutor(8) as threads:
        clients = [threads.submit(client) for _ in range(8)]
        for _ in range(3):  # two refusals and the first good answer: each is alone
            assert asked.acquire(timeout=20)
            with lock:
                assert len(inside) == 1
            go_on.release()
        for future in clients:
            future.result(20)
    assert most[:3] == [1, 1, 1]
    assert len(most) == 10


def test_a_request_that_fails_in_another_way_makes_room_for_the_next(naps: Naps) -> None:
    patience = Patience(naps.sleep, naps.clock)
    with pytest.raises(TransientError):
        ask(patience, limited(5))
    with pytest.raises(TransientError):
        ask(patience, broken())
    with pytest.raises(UpstreamError), patience.turn():
        raise UpstreamError("there is no such image", status=404)
    assert naps.taken == [5]


def test_attempts_have_an_end_unless_something_moves(naps: Naps) -> None:
    attempts = Attempts(Patience(naps.sleep, naps.clock))
    for _ in range(50):
        attempts.failed(broken(), moved=True)
    for _ in range(ATTEMPTS - 2):
        attempts.failed(broken())
    with pytest.raises(UpstreamError, match="it broke"):
        attempts.failed(broken())
    assert attempts.retries == 50 + ATTEMPTS - 1
    assert all(0.25 <= nap <= 0.5 for nap in naps.taken[:50])
    assert 4 <= naps.taken[-1] <= 8


def test_who_is_told_to_stop_waits_for_nothing() -> None:
    patience = Patience(lambda seconds: True, lambda: 0.0)
    with pytest.raises(TransferStopped):
        patience.back_off(1)
    with pytest.raises(TransientError):
        ask(patience, limited(5))
    for _ in range(3):
        with pytest.raises(TransferStopped):
            ask(patience)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), ("", None), ("0", 0.0), (" 120 ", 120.0), ("-5", None), ("1.5", None), ("soon", None), ("9" * 5000, float("9" * 64)), ("²", None)],
)
def test_retry_after_in_seconds(value: str | None, expected: float | None) -> None:
    assert retry_after(value) == expected


@pytest.mark.parametrize(("ahead", "least", "most"), [(3600, 3590, 3600), (-3600, 0, 0)])
def test_retry_after_as_a_date(ahead: int, least: float, most: float) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=ahead)
    for text in (format_datetime(moment, usegmt=True), moment.strftime("%A, %d-%b-%y %H:%M:%S GMT")):
        assert least <= (retry_after(text) or 0.0) <= most


@given(st.text(max_size=60) | st.datetimes().map(format_datetime) | st.from_regex(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{1,6} \d\d:\d\d:\d\d [+-]\d{1,6}", fullmatch=True))
def test_any_retry_after_is_a_wait_or_none(value: str) -> None:
    seconds = retry_after(value)
    assert seconds is None or 0 <= seconds < float("inf")
