"""What a killed build left is told from what another build uses, and never the other way round."""

from __future__ import annotations

import os

import pytest

from bundler.cluster.lease import SECONDS
from bundler.cluster.ownership import FOREIGN_SECONDS, Belonging, Owner, orphans, started

ME = Owner("boot-1", "pid:[1]", 100, "5000")
ALIVE = {100: "5000", 200: "7000"}


def belonging(owner: Owner | str, kind: str = "container", age: float = 10) -> Belonging:
    return Belonging(kind, "id", str(owner), age)


@pytest.mark.parametrize(
    ("owner", "age", "gone"),
    [
        (ME, 10, False),
        (Owner("boot-1", "pid:[1]", 200, "7000"), 10, False),
        (Owner("boot-1", "pid:[1]", 200, "7000"), 10 * FOREIGN_SECONDS, False),
        (Owner("boot-1", "pid:[1]", 300, "7000"), 10, True),  # no such process
        (Owner("boot-1", "pid:[1]", 200, "6000"), 10, True),  # its number went to another process
        (Owner("boot-0", "pid:[1]", 200, "7000"), 10, False),  # another machine that uses this engine, or this one before it restarted
        (Owner("boot-0", "pid:[1]", 200, "7000"), FOREIGN_SECONDS + 1, True),
        (Owner("boot-1", "pid:[2]", 300, "1"), 10, False),  # a CI job's: we cannot see its processes
        (Owner("boot-1", "pid:[2]", 300, "1"), FOREIGN_SECONDS + 1, True),
        ("somebody else's label", FOREIGN_SECONDS * 2, False),
        ("", 10, False),
    ],
)
def test_whose_is_it(owner: Owner | str, age: float, *, gone: bool) -> None:
    assert bool(orphans([belonging(owner, age=age)], ME, ALIVE.get)) is gone


@pytest.mark.parametrize(
    ("kind", "age", "ended", "gone"),
    [
        ("container", SECONDS - 1, True, False),
        ("container", SECONDS + 1, True, True),  # its lease ended, or its machine restarted
        ("container", SECONDS + 1, False, False),  # somebody renews it
        ("network", SECONDS - 1, False, False),
        ("network", SECONDS + 1, False, True),  # the engine keeps it where somebody is in it
    ],
)
def test_of_processes_that_nobody_here_sees_the_lease_tells(kind: str, age: float, *, ended: bool, gone: bool) -> None:
    for owner in (Owner("boot-0", "pid:[1]", 100, "5000"), Owner("boot-1", "pid:[2]", 100, "5000")):
        assert bool(orphans([Belonging(kind, "id", str(owner), age, ended)], ME, ALIVE.get)) is gone
    assert not orphans([Belonging(kind, "id", str(ME), age, ended)], ME, ALIVE.get)


def test_containers_go_before_their_networks() -> None:
    dead = Owner(ME.boot, ME.namespace, 1, "1")
    found = orphans([belonging(dead, "network"), belonging(dead), belonging(dead, "network")], ME, ALIVE.get)
    assert [item.kind for item in found] == ["container", "network", "network"]


def test_a_label_round_trip() -> None:
    assert Owner.parse(str(ME)) == ME
    assert Owner.parse("a b c d") is None
    assert Owner.parse("a b 3") is None


def test_this_process_is_alive() -> None:
    me = Owner.current()
    assert me.pid == os.getpid()
    assert started(me.pid) == me.started
    assert started(2**22 + 1) is None
