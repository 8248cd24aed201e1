"""Cluster DNS is moved only where all of it is on one host, another could take it, and the places are final."""

from __future__ import annotations

import json
from typing import Any

import pytest

from installer_stub.kube.spread import crowded, is_placed
from installer_stub.phases.spread_dns import SpreadDns
from tests.fakes.membership import answers_membership, make_member
from tests.fakes.plans import M1, M2, N1, make_context, make_plan, masters, nodes, scripted_hosts
from tests.fakes.scripted import ScriptedConnection

CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


def node(name: str, *taints: dict[str, str], ready: bool = True, cordoned: bool = False) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"taints": list(taints), "unschedulable": cordoned},
        "status": {"conditions": [{"type": "Ready", "status": str(ready), "message": "no network yet"}]},
    }


def pod(name: str, host: str, *, made: str = "2026-11-26T15:00:00Z", ending: bool = False) -> dict[str, Any]:
    metadata = {"name": name, "creationTimestamp": made, **({"deletionTimestamp": made} if ending else {})}
    return {"metadata": metadata, "spec": {"nodeName": host} if host else {}}


BOTH = [pod("dns-a", "m2"), pod("dns-b", "m2", made="2026-11-26T15:00:01Z")]


@pytest.mark.parametrize("other", [node("n5"), node("m3", CONTROL_PLANE), node("n5", {"key": "x", "effect": "PreferNoSchedule"})])
def test_the_newer_of_two_on_one_host_moves(other: dict[str, Any]) -> None:
    assert crowded(BOTH, [node("m2"), other]) == "dns-b"


@pytest.mark.parametrize(
    ("pods", "hosts"),
    [
        (BOTH, [node("m2")]),
        (BOTH, [node("m2"), node("n5", ready=False)]),
        (BOTH, [node("m2"), node("n5", cordoned=True)]),
        (BOTH, [node("m2"), node("n5", {"key": "db", "effect": "NoSchedule"})]),
        ([pod("dns-a", "m2"), pod("dns-b", "n5")], [node("m2"), node("n5")]),
        ([pod("dns-a", "m2")], [node("m2"), node("n5")]),  # somebody wants one
        ([pod("dns-a", "m2"), pod("dns-b", "m2", ending=True)], [node("m2"), node("n5")]),
        ([], [node("m2"), node("n5")]),
    ],
)
def test_otherwise_nothing_moves(pods: list[Any], hosts: list[Any]) -> None:
    assert crowded(pods, hosts) is None


def test_places_are_final_once_pods_have_one_and_hosts_are_ready() -> None:
    assert is_placed(BOTH, [node("m2"), node("n5")])
    assert not is_placed([*BOTH, pod("dns-c", "")], [node("m2")])
    assert not is_placed(BOTH, [node("m2"), node("n5", ready=False)])
    assert not is_placed([], [node("m2")])


PLAN = make_plan(*masters(M1, M2), *nodes(N1))


def cluster(*answers: tuple[list[Any], list[Any]]) -> dict[str, ScriptedConnection]:
    hosts = scripted_hosts(PLAN)
    for address in (M1, M2):
        answers_membership(hosts[address].on("readyz").on("delete pod"))
        make_member(hosts[address])
    hosts[M1].on("get pods", *(json.dumps({"items": pods}) for pods, _ in answers))
    hosts[M1].on("get nodes", *(json.dumps({"items": found}) for _, found in answers))
    return hosts


READY = [node("m2"), node("m3"), node("n5")]


def test_it_waits_for_the_hosts_and_then_moves_one() -> None:
    hosts = cluster((BOTH, [node("m2"), node("m3", ready=False), node("n5")]), (BOTH, READY))
    context = make_context(PLAN, hosts)
    SpreadDns().run(context, sleep=lambda _: None)
    assert [command.text.split()[-3] for command in hosts[M1].ran("delete pod")] == ["dns-b"]


def test_hosts_that_do_not_become_ready_stop_nothing() -> None:
    hosts = cluster((BOTH, [node("m2"), node("n5", ready=False)]))
    now = iter(range(0, 10000, 10))
    SpreadDns().run(make_context(PLAN, hosts), clock=lambda: float(next(now)), sleep=lambda _: None)
    assert not hosts[M1].ran("delete pod")


def test_what_is_spread_or_alone_needs_nothing() -> None:
    assert not SpreadDns().is_needed(make_context(PLAN, cluster(([pod("a", "m2"), pod("b", "m3")], READY))))
    assert SpreadDns().is_needed(make_context(PLAN, cluster((BOTH, READY))))
    alone = make_plan(*masters(M1))
    assert not SpreadDns().is_needed(make_context(alone, scripted_hosts(alone)))
