"""Nothing is wiped on a missing, torn or unreadable mark; no live node is thrown out by a newcomer of its name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from installer_stub.errors import HostError, HostInDoubt, HostLeaving, InstallerError
from installer_stub.membership import record
from installer_stub.membership.record import Record, Stage
from installer_stub.phases.base import Phase
from installer_stub.phases.join_masters import JoinMasters
from installer_stub.phases.join_nodes import JoinNodes
from installer_stub.phases.member import membership
from installer_stub.phases.start_first_master import StartFirstMaster
from tests.fakes.membership import CLUSTER_CA, QUESTION, lose_record, make_member, node, node_list
from tests.fakes.plans import M1, M2, N1, N2, make_context
from tests.fakes.scripted import ScriptedConnection, failed
from tests.unit.installer_stub.phases.test_cluster_phases import PLAN, cluster

WIPES = r"kubeadm reset|rm -rf /etc/kubernetes|member remove|delete node|kubeadm init"
ALL = (M1, M2, N1, N2)
LIVE = (node("m2", M1, control_plane=True), node("m3", M2, control_plane=True), node("n5", N1), node("n6", N2))

Harm = Callable[[ScriptedConnection], object]


def torn(host: ScriptedConnection) -> None:
    host.files[record.PATH] = host.files[record.PATH][:30]


def other_authority(host: ScriptedConnection) -> None:
    host.files[record.PATH] = record.render(Record(Stage.MEMBER, "sha256:" + "0" * 64))


def authority_gone(host: ScriptedConnection) -> None:
    del host.files[CLUSTER_CA]
    other_authority(host)


def kubernetes_gone(host: ScriptedConnection) -> None:
    del host.files["/etc/kubernetes/kubelet.conf"]


HARMS: dict[str, Harm] = {
    "record lost": lose_record,
    "record torn": torn,
    "another CA": other_authority,
    "no CA": authority_gone,
    "Kubernetes gone": kubernetes_gone,
    "cannot fork": lambda host: host.on(QUESTION, failed(254, "sh: 1: Cannot fork")),
    "killed": lambda host: host.on(QUESTION, failed(137)),
    "silent": lambda host: host.on(QUESTION, ""),
}
UNREADABLE = {"cannot fork", "killed", "silent"}


def run_all(hosts: dict[str, ScriptedConnection], forced: frozenset[str] = frozenset()) -> InstallerError | None:
    """Run the phases as an installation does; return the error that ended it."""
    context = make_context(PLAN, hosts, force_rejoin=forced)
    phases: tuple[Phase, ...] = (StartFirstMaster(), JoinMasters(), JoinNodes())
    try:
        for phase in phases:
            if phase.is_needed(context):
                phase.run(context)
    except InstallerError as error:
        return error
    return None


def finished() -> dict[str, ScriptedConnection]:
    hosts = cluster(*ALL)
    hosts[M2].files["/etc/hosts"] = f"{M2} api.airseal.internal\n".encode()
    return hosts


def wiped(hosts: dict[str, ScriptedConnection]) -> list[str]:
    return [command.text for host in hosts.values() for command in host.ran(WIPES)]


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("harmed", [(M1,), (M2,), (N1,), (M2, N1, N2), ALL])
@pytest.mark.parametrize("api", ["live", "no such node", "no answer"])
def test_a_mark_that_is_lost_or_cannot_be_read_never_permits_wiping(harm: str, harmed: tuple[str, ...], api: str) -> None:
    hosts = finished()
    for host in hosts.values():
        host.on("get nodes", failed(1, "connection refused") if api == "no answer" else node_list(LIVE if api == "live" else ()))
    for address in harmed:
        HARMS[harm](hosts[address])
    error = run_all(hosts)
    assert wiped(hosts) == []
    if api == "live" and harm not in UNREADABLE:
        assert error is None, error
        assert all(record.parse(hosts[address].files[record.PATH]) for address in harmed)  # healed from the cluster's word
        assert run_all(hosts) is None
    else:
        assert error is not None
        assert any(address in str(error) for address in harmed)
        assert "It was not changed" in str(error) or "nothing was changed" in str(error)


def test_the_same_cluster_untouched_needs_nothing() -> None:
    hosts = finished()
    assert run_all(hosts) is None
    assert not any(host.changes for host in hosts.values())


def test_in_doubt_the_operator_may_say_that_a_host_may_be_wiped() -> None:
    hosts = finished()
    lose_record(hosts[N1])
    for host in hosts.values():
        host.on("get nodes", node_list((*LIVE[:2], node("n5", N1, ready=False), LIVE[3])))
    context = make_context(PLAN, hosts, force_rejoin=frozenset({N1}))
    JoinNodes().run(context)
    assert hosts[N1].ran("kubeadm reset")
    assert "kubeadm join" in hosts[N1].files["/run/airseal/join.sh"].decode()
    assert not hosts[N2].ran("kubeadm reset")


@pytest.mark.parametrize("leaving", [M1, M2, N1])
@pytest.mark.parametrize("ready", [True, False])
@pytest.mark.parametrize("forced", [True, False])
def test_a_host_whose_reset_was_cut_is_neither_a_member_nor_cleaned(leaving: str, *, ready: bool, forced: bool) -> None:
    """Not even where the cluster still says that it is ready, or where the operator says that it may be wiped: reset knows how."""
    hosts = finished()
    make_member(hosts[leaving], Stage.LEAVING)
    nodes = [node("x", address, ready=ready or address != leaving, control_plane=address in {M1, M2}) for address in ALL]
    for host in hosts.values():
        host.on("get nodes", node_list(nodes))
    error = run_all(hosts, frozenset({leaving} if forced else ()))
    assert isinstance(error, HostLeaving)
    assert f"{leaving}: its reset was begun and has not ended" in error.problem
    assert "reset" in error.remedy
    assert wiped(hosts) == []
    assert hosts[leaving].files[record.PATH] == record.render(Record(Stage.LEAVING, ""))


def test_a_ready_node_is_not_wiped_even_then() -> None:
    hosts = finished()
    lose_record(hosts[N1])
    for host in hosts.values():
        host.on("get nodes", node_list(LIVE))
    JoinNodes().run(make_context(PLAN, hosts, force_rejoin=frozenset({N1})))
    assert wiped(hosts) == []


def test_a_join_that_ended_in_the_moment_of_a_power_cut_is_not_done_again() -> None:
    hosts = finished()
    make_member(hosts[N1], Stage.BEGUN)
    for host in hosts.values():
        host.on("get nodes", node_list(LIVE))
    assert run_all(hosts) is None
    assert wiped(hosts) == []
    found = record.parse(hosts[N1].files[record.PATH])
    assert found is not None
    assert found.stage is Stage.MEMBER


def test_a_master_that_is_ready_but_not_yet_marked_is_half_made() -> None:
    hosts = finished()
    make_member(hosts[M2], Stage.BEGUN)
    for host in hosts.values():
        host.on("get nodes", node_list((LIVE[0], node("m3", M2), *LIVE[2:])))
    assert run_all(hosts) is None
    assert hosts[M2].ran("kubeadm reset")


@pytest.mark.parametrize("ready", [True, False])
@pytest.mark.parametrize("same_machine", [True, False])
def test_a_newcomer_with_the_name_of_another_node_does_not_throw_it_out(*, ready: bool, same_machine: bool) -> None:
    """Clones of one machine image have one name and one machine id; the live one stays."""
    hosts = cluster(M1, M2, N1)
    machine = hosts[N2].files["/etc/machine-id"].decode() if same_machine else "another"
    for host in hosts.values():
        host.on("get nodes", node_list((*LIVE[:3], node("n6", "10.0.0.77", ready=ready, machine=machine))))
    error = run_all(hosts)
    if same_machine and not ready:  # this very host, which has another address now
        assert error is None
        assert hosts[M1].ran("delete node n6 ")
    else:
        assert isinstance(error, HostError)
        assert "its name n6 is that of the" in str(error)
        assert wiped(hosts) == []


def test_a_host_that_was_made_new_takes_its_old_place() -> None:
    hosts = cluster(M1, M2, N1)
    for host in hosts.values():
        host.on("get nodes", node_list((*LIVE[:3], node("n6", N2, ready=False, machine="before"))))
    assert run_all(hosts) is None
    assert hosts[M1].ran("delete node n6 ")
    assert not hosts[N2].ran("kubeadm reset")


def test_the_clusters_word_is_asked_of_any_master_that_answers() -> None:
    hosts = finished()
    lose_record(hosts[N1])
    hosts[M1].on("get nodes", failed(1, "connection refused"))
    hosts[M2].on("get nodes", node_list(LIVE))
    context = make_context(PLAN, hosts)
    assert membership(context, PLAN.nodes[0]).value == "member"
    hosts[M2].on("get nodes", failed(1, "i/o timeout"))
    lose_record(hosts[N1])
    with pytest.raises(HostInDoubt, match="i/o timeout"):
        membership(context, PLAN.nodes[0])
