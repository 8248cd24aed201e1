"""etcd's members from its own JSON, and what a removal leaves of the majority."""

from __future__ import annotations

import json

import pytest

from installer_stub.errors import ClusterError
from installer_stub.kube.etcd import Etcd, EtcdMember, after_removal, parse_members
from installer_stub.kube.kubectl import Kubectl
from tests.fakes.scripted import CommandResult, ScriptedConnection

MEMBERS = json.dumps(
    {
        "header": {"cluster_id": 1},
        "members": [
            {"ID": 9372538179322589801, "name": "m2", "peerURLs": ["https://10.0.0.2:2380"], "clientURLs": ["https://10.0.0.2:2379"]},
            {"ID": 10501334649042878790, "name": "m3", "peerURLs": ["https://10.0.0.3:2380"], "clientURLs": ["https://10.0.0.3:2379"]},
            {"ID": 18, "peerURLs": ["https://10.0.0.4:2380"], "isLearner": True},
        ],
    }
)
HEALTH = json.dumps([{"endpoint": "https://10.0.0.2:2379", "health": True, "took": "5ms"}, {"endpoint": "https://10.0.0.3:2379", "health": False, "error": "context deadline exceeded"}])


def test_members_and_their_health() -> None:
    first, second, third = parse_members(MEMBERS, HEALTH)
    assert (first.identity, first.healthy, first.learner) == ("8211f1d0f64f3269", True, False)
    assert (second.name, second.healthy) == ("m3", False)
    assert (third.name, third.healthy, third.learner) == ("", None, True)
    assert first.is_at("10.0.0.2")
    assert not first.is_at("10.0.0.20")


@pytest.mark.parametrize("members", ["", "{}", "[]", '{"members": [{}]}', '{"members": 1}'])
def test_what_is_no_list_is_an_error_and_not_an_empty_one(members: str) -> None:
    with pytest.raises(ClusterError):
        parse_members(members, "[]")


def member(name: str, *, healthy: bool | None = True, learner: bool = False) -> EtcdMember:
    return EtcdMember(name, name, (), learner, healthy)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ("+", (0, 1)),
        ("++", (1, 1)),
        ("+-", (0, 1)),
        ("+++", (2, 2)),
        ("++-", (1, 2)),
        ("+++++", (4, 3)),
        ("+++--", (2, 3)),
    ],
)
def test_the_majority_after_the_first_has_left(members: str, expected: tuple[int, int]) -> None:
    listed = tuple(member(str(number), healthy=sign == "+") for number, sign in enumerate(members))
    assert after_removal(listed, listed[0]) == expected
    assert after_removal((*listed, member("new", learner=True)), listed[0]) == expected


def test_a_member_that_is_not_well_is_no_reason_to_know_nothing() -> None:
    connection = ScriptedConnection().on("member list", MEMBERS).on("endpoint health --cluster", CommandResult(1, HEALTH, "unhealthy cluster")).on("member remove", "")
    etcd = Etcd(Kubectl(connection), "m2")
    assert [each.healthy for each in etcd.members()] == [True, False, None]
    etcd.remove(etcd.members()[1])
    assert connection.ran("member remove 91bc3c398fb3c146")
    assert all("etcd-m2" in command.text for command in connection.commands)
