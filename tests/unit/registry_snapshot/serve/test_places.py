"""Who holds how many places, and who goes first."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest

from registry_snapshot.serve.connection import Connection, Wait
from registry_snapshot.serve.places import Places, origin_of
from registry_snapshot.serve.transport import Transport

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"


class Room:
    """Places, and connections in them that wait for a request."""

    def __init__(self, most: int) -> None:
        self.places = Places(most)
        self._left, self._right = socket.socketpair()

    def enter(self, origin: str, *, known: bool = False) -> Connection:
        connection = Connection(Transport(self._left), origin)
        connection.wait = Wait.IDLE
        self.places.add(connection)
        if known:
            self.places.know(connection)
        return connection

    def close(self) -> None:
        self._left.close()
        self._right.close()


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room(8192)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("client", "origin"),
    [
        ("10.0.0.2", "10.0.0.2"),
        ("::ffff:10.0.0.2", "10.0.0.2"),
        ("fd00:1:2:3::1", "fd00000100020003::/64"),
        ("fd00:1:2:3:ffff::9", "fd00000100020003::/64"),
        ("fe80::1%eth0", "fe80000000000000::/64"),
        ("a:b", "a:b"),
    ],
)
def test_a_host_cannot_make_itself_many_by_choosing_addresses(client: str, origin: str) -> None:
    assert origin_of(client) == origin


def test_the_share_is_an_eighth_but_enough_for_a_node_and_never_more_than_there_is(room: Room) -> None:
    assert [Places(most).share for most in (8192, 4096, 300, 10)] == [1024, 512, 64, 10]
    for _ in range(1023):
        room.enter(A)
    assert not room.places.is_at_its_share(A)
    room.enter(A, known=True)
    assert room.places.is_at_its_share(A)
    assert not room.places.is_at_its_share(B)


def test_of_an_address_at_its_share_strangers_go_before_the_known_and_the_oldest_first(room: Room) -> None:
    known = [room.enter(A, known=True) for _ in range(3)]
    strangers = [room.enter(A) for _ in range(2)]
    strangers[0].wait = None  # in a worker's hands
    assert room.places.leaver_of(A) is strangers[1]
    room.places.remove(strangers[1])
    assert room.places.leaver_of(A) is known[0]
    room.places.know(known[0])  # answered again: the next one is idle longer
    assert room.places.leaver_of(A) is known[1]
    for connection in known:
        connection.wait = Wait.TAKE
    assert room.places.leaver_of(A) is None
    assert room.places.leaver_of(B) is None


def test_the_address_with_most_strangers_loses_its_oldest(room: Room) -> None:
    assert room.places.oldest_stranger() is None
    lonely = room.enter(B)
    crowd = [room.enter(A) for _ in range(3)]
    for _ in range(5):
        room.enter(C, known=True)
    assert room.places.oldest_stranger() is crowd[0]
    room.places.know(crowd[0])
    assert room.places.oldest_stranger() is crowd[1]
    for connection in crowd:
        room.places.remove(connection)
    assert room.places.oldest_stranger() is lonely
    room.places.remove(lonely)
    assert room.places.oldest_stranger() is None


def test_one_address_may_not_hoard(room: Room) -> None:
    for _ in range(512):
        room.enter(A)
    assert not room.places.is_hoarded
    last = room.enter(A)
    assert room.places.is_hoarded
    room.places.remove(last)
    assert not room.places.is_hoarded


def test_one_that_is_gone_is_not_known_afterwards(room: Room) -> None:
    connection = room.enter(A)
    room.places.remove(connection)
    room.places.know(connection)
    room.places.remove(connection)
    assert room.places.leaver_of(A) is None


def test_the_counts_are_right_whatever_comes_and_goes(room: Room) -> None:
    chance = random.Random(7)  # noqa: S311 - the same walk each time
    strangers: dict[str, list[Connection]] = {origin: [] for origin in (A, B, C)}
    for _ in range(3000):
        origin = chance.choice(list(strangers))
        match chance.randrange(4):
            case 0 | 1:
                strangers[origin].append(room.enter(origin))
            case 2 if strangers[origin]:
                room.places.remove(strangers[origin].pop(chance.randrange(len(strangers[origin]))))
            case 3 if strangers[origin]:
                room.places.know(strangers[origin].pop(chance.randrange(len(strangers[origin]))))
        assert room.places.most_strangers == max(map(len, strangers.values()))
        oldest = room.places.oldest_stranger()
        assert oldest is None or oldest is strangers[oldest.origin][0]
        assert oldest is None or len(strangers[oldest.origin]) == room.places.most_strangers
