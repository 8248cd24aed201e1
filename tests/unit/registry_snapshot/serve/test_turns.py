"""Turns: a bound, and nobody who comes again before those who have waited."""

from __future__ import annotations

import threading

import pytest

from registry_snapshot.serve.turns import Turns
from tests.unit.registry_snapshot.serve.conftest import eventually


def test_only_so_many_at_a_time_and_all_of_them_in_the_end() -> None:
    turns, gate = Turns(2), threading.Event()
    inside: list[int] = []

    def work(number: int) -> None:
        with turns:
            inside.append(number)
            gate.wait(5)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: len(turns._waiting) == 4)
    assert len(inside) == 2
    gate.set()
    for thread in threads:
        thread.join(5)
    assert sorted(inside) == list(range(6))
    assert not turns.others_wait


def test_who_comes_again_waits_behind_the_others() -> None:
    turns = Turns(1)
    order: list[str] = []
    gate = threading.Event()

    def first() -> None:
        with turns:
            gate.wait(5)
            order.append("first")
        with turns:
            order.append("first again")

    def second() -> None:
        with turns:
            order.append("second")

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert eventually(lambda: turns._free == 0)
    assert not turns.others_wait
    threads.append(threading.Thread(target=second))
    threads[1].start()
    assert eventually(lambda: turns.others_wait)
    gate.set()
    for thread in threads:
        thread.join(5)
    assert order == ["first", "second", "first again"]


def test_an_error_ends_the_turn() -> None:
    turns = Turns(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), turns:
            1 / 0  # noqa: B018
    assert turns._free == 1
