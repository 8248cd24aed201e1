"""Any ready master speaks for the cluster: the first one is nothing special."""

from __future__ import annotations

import pytest

from installer_stub.errors import ClusterError, HostUnreachable
from installer_stub.host.command import Command, CommandResult
from installer_stub.kube.control_plane import ControlPlane, Speaker
from installer_stub.phases.cluster_access import kubectl, speaker, wait_for_api
from tests.fakes.membership import answers_membership, make_member
from tests.fakes.plans import (
    M1,
    M2,
    M3,
    N1,
    host_plan,
    make_context,
    make_plan,
    masters,
    nodes,
    scripted_hosts,
)
from tests.fakes.scripted import ScriptedConnection, failed

PLAN = make_plan(*masters(M1, M2, M3), *nodes(N1))


def cluster(*ready: str, members: tuple[str, ...] = (M1, M2, M3)) -> dict[str, ScriptedConnection]:
    hosts = scripted_hosts(PLAN)
    for address, host in hosts.items():
        answers_membership(host.on("readyz", "ok" if address in ready else failed()))
        if address in members:
            make_member(host)
    return hosts


def gone(command: Command) -> CommandResult:
    raise HostUnreachable(M1, f"the connection was lost during {command}")


@pytest.mark.parametrize(
    ("ready", "members", "speaks"),
    [
        ((M1, M2, M3), (M1, M2, M3), M1),
        ((M2, M3), (M1, M2, M3), M2),
        ((M3,), (M1, M2, M3), M3),
        ((M1, M2, M3), (M3,), M3),  # who never joined does not speak, whatever its API server says
        ((M1,), (), M1),  # before there is a cluster the first master begins it
        ((), (M2, M3), M2),  # nobody is ready: a member's refusal says why
    ],
)
def test_the_first_ready_member_speaks(ready: tuple[str, ...], members: tuple[str, ...], speaks: str) -> None:
    assert speaker(make_context(PLAN, cluster(*ready, members=members))).host.address == speaks


def test_a_master_that_is_not_connected_is_passed_over() -> None:
    hosts = cluster(M1, M2, M3)
    del hosts[M1]
    assert speaker(make_context(PLAN, hosts)).host.address == M2


def test_without_any_master_it_is_said() -> None:
    hosts = cluster()
    with pytest.raises(HostUnreachable, match="no master is connected"):
        speaker(make_context(PLAN, {N1: hosts[N1]}))


def test_who_spoke_is_not_looked_for_again_until_the_api_is_waited_for() -> None:
    hosts = cluster(M1, M2, M3)
    context = make_context(PLAN, hosts)
    kubectl(context)
    kubectl(context)
    assert len(hosts[M1].ran("readyz")) == 1
    hosts[M1].on("readyz", failed())
    wait_for_api(context, sleep=lambda _: None)
    assert speaker(context).host.address == M2


def test_a_connection_lost_while_it_is_asked_makes_the_next_one_speak() -> None:
    hosts = cluster(M1, M2, M3)
    hosts[M1].on("readyz", gone)
    assert speaker(make_context(PLAN, hosts)).host.address == M2


def test_a_master_in_doubt_does_not_speak_and_stops_nobody() -> None:
    hosts = cluster(M1, M2, M3)
    hosts[M1].on("all-asked", failed(2, "cannot fork"))
    assert speaker(make_context(PLAN, hosts)).host.address == M2


def test_each_master_is_asked_over_its_own_api_server() -> None:
    hosts = cluster(M2)
    kubectl(make_context(PLAN, hosts)).api_ready()
    assert all("--server=https://127.0.0.1:6443" in command.text for host in hosts.values() for command in host.ran("kubectl"))


def test_waiting_names_every_master_that_was_asked() -> None:
    hosts = cluster()
    plane = ControlPlane(Speaker(host_plan(address), hosts[address]) for address in (M1, M2))
    now = iter(range(100))
    with pytest.raises(ClusterError, match=f"none of the API servers on {M1}, {M2} became ready within 10 s"):
        plane.wait_for_any(timeout=10, clock=lambda: float(next(now)), sleep=lambda _: None)
