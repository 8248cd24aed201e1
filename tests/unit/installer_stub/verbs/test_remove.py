"""Nobody leaves who cannot, and nothing is changed then: the last master, the majority's vote, a host that is not lost."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from installer_stub.errors import ClusterError, CommandFailed, Interrupted, UsageError
from installer_stub.host.command import CommandResult
from installer_stub.host.model import Role
from installer_stub.options import InstallOptions
from installer_stub.site.choose import Chosen
from installer_stub.site.find import Found
from installer_stub.site.follow import Followers
from installer_stub.site.model import SiteRecord
from installer_stub.ui import prompts
from installer_stub.verbs import remove
from installer_stub.verbs.open_site import OpenSite
from installer_stub.verbs.session import Session
from tests.fakes.membership import node as node_object
from tests.fakes.membership import node_list
from tests.fakes.plans import RecordingReporter
from tests.fakes.scripted import ScriptedConnection, failed
from tests.fakes.sites import master, node, record

THREE = record(master(2), master(3), master(4), node(5))


def members(*well: int, ill: tuple[int, ...] = ()) -> tuple[str, str]:
    numbers = (*well, *ill)
    listed = [{"ID": n, "name": f"m{n}", "peerURLs": [f"https://10.0.0.{n}:2380"], "clientURLs": [f"https://10.0.0.{n}:2379"]} for n in numbers]
    return json.dumps({"members": listed}), json.dumps([{"endpoint": f"https://10.0.0.{n}:2379", "health": n in well} for n in numbers])


def opened(known: SiteRecord = THREE, *, up: tuple[int, ...] = (2, 3, 4, 5), ready: tuple[int, ...] = (2, 3, 4, 5), etcd: tuple[str, str] | None = None) -> OpenSite:
    listed, health = etcd or members(2, 3, 4)
    connections: dict[str, Any] = {}
    for host in known.site.hosts:
        number = int(host.name[1:])
        if number in up:
            nodes = node_list(
                node_object(each.name, each.internal, ready=int(each.name[1:]) in ready, control_plane=each.role is Role.MASTER) for each in known.site.hosts
            )
            connection = ScriptedConnection(host.reach)
            connection.on("kubectl", failed()).on("readyz", "ok" if number in ready else failed()).on("get nodes", nodes)
            connection.on("member list", listed).on("endpoint health", health)
            connections[host.name] = connection
    found = Found({each.host.address: each for each in connections.values()}, {}, Chosen("c1", known), known)
    silent = tuple(host for host in known.site.hosts if host.name not in connections)
    return OpenSite(known, found, connections, silent)


def run(*, lost: bool = False, force: bool = False, yes: bool = True) -> Session:
    options = cast("InstallOptions", SimpleNamespace(lost=lost, force=force, yes=yes))
    return cast("Session", SimpleNamespace(options=options, screen=RecordingReporter(), bundle=SimpleNamespace(info=SimpleNamespace(name="shop", version="1.4.0", title="shop:1.4.0")), secrets=[]))


def changes(site: OpenSite) -> list[str]:
    return [each for connection in site.connections.values() for each in cast("ScriptedConnection", connection).changes]


def refused(match: str, site: OpenSite, name: str, session: Session | None = None) -> str:
    with pytest.raises(ClusterError, match=match) as caught:
        remove._remove(session or run(), site, site.record, remove._target(site, name))
    assert changes(site) == []
    assert "nothing was changed" in caught.value.problem
    return caught.value.remedy


def test_the_last_master_stays() -> None:
    refused("m2 is the only master of cluster c1", opened(record(master(2), node(5))), "m2")


def test_without_an_api_on_those_that_stay_nothing_begins() -> None:
    refused(r"no API server answers on the masters that stay \(10\.0\.0\.3, 10\.0\.0\.4\)", opened(ready=(2, 5)), "m2")


@pytest.mark.parametrize("name", ["m2", "10.0.0.2"])
def test_the_majority_is_never_broken_by_itself(name: str) -> None:
    site = opened(etcd=members(2, 3, ill=(4,)))
    remedy = refused("without m2, 1 of the etcd members that stay are well and 2 are needed: etcd stops", site, name)
    assert "--force" in remedy


REFUSAL = failed(1, "Error: etcdserver: unhealthy cluster")


@pytest.mark.parametrize("refusal", [REFUSAL, None])
def test_force_says_what_happens_and_how_it_goes_on(monkeypatch: pytest.MonkeyPatch, refusal: CommandResult | None) -> None:
    """etcd itself keeps the member that its majority depends on; without it the cluster can be told nothing more."""
    site, session = opened(etcd=members(2, 3, ill=(4,))), run(force=True)
    speaking = cast("ScriptedConnection", site.connections["m3"]).on("drain", "")
    if refusal is not None:
        speaking.on("member remove", refusal)
    else:
        speaking.on("member remove", "")
    undone: list[str] = []
    monkeypatch.setattr(remove, "_reset_host", lambda _run, _site, host: undone.append(host.name))
    with pytest.raises(ClusterError, match="m2 is put back as it was, and etcd has no majority any more") as caught:
        remove._remove(session, site, site.record, remove._target(site, "m2"))
    steps = cast("RecordingReporter", session.screen).steps
    assert any("--force: without m2, 1 of the etcd members" in step and "etcd stops" in step for step in steps)
    assert any("etcd keeps its member listed" in step for step in steps) is (refusal is not None)
    assert undone == ["m2"]
    assert caught.value.remedy.endswith("remove --lost m2 --via 10.0.0.3")
    assert not speaking.ran("delete node")


def test_etcd_is_not_overruled_where_the_majority_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    site, session = opened(), run(force=True)
    cast("ScriptedConnection", site.connections["m3"]).on("drain", "").on("member remove", REFUSAL)
    monkeypatch.setattr(remove, "_reset_host", lambda *_: pytest.fail("the host is still a member"))
    with pytest.raises(CommandFailed, match="unhealthy cluster"):
        remove._remove(session, site, site.record, remove._target(site, "m2"))


def test_a_dead_member_may_always_go() -> None:
    from installer_stub.kube.etcd import Etcd
    from installer_stub.kube.kubectl import Kubectl

    site = opened(up=(2, 3, 5), ready=(2, 3, 5), etcd=members(2, 3, ill=(4,)))
    vote = remove._vote(run(lost=True), Etcd(Kubectl(site.connections["m2"]), "m2"), master(4))
    assert vote is not None
    assert (vote.member.identity, vote.breaks) == ("4", False)


def test_a_silent_host_is_lost_only_when_the_operator_says_so() -> None:
    remedy = refused(r"n5 \(10\.0\.0\.5\) does not answer", opened(up=(2, 3, 4)), "n5")
    assert remedy.endswith("remove --lost n5 --via 10.0.0.2")


def test_one_that_the_cluster_calls_ready_is_not_lost() -> None:
    remedy = refused("n5 is not lost", opened(up=(2, 3, 4)), "n5", run(lost=True))
    assert remedy.endswith("remove n5 --via 10.0.0.2")


def test_no_host_of_the_site() -> None:
    with pytest.raises(UsageError, match="n9 is no host of cluster c1") as caught:
        remove._target(opened(), "n9")
    assert "n5 (10.0.0.5)" in caught.value.remedy


def test_another_file_removes_nothing() -> None:
    session = run()
    cast("Any", session.bundle.info).version = "1.5.0"
    with pytest.raises(ClusterError, match=r"belong to cluster c1 \(shop:1\.4\.0\)"):
        remove._require_own_file(session, THREE)


def test_the_question_names_host_cluster_and_application(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(prompts, "is_interactive", lambda: True)
    monkeypatch.setattr(prompts, "confirm", lambda question: bool(asked.append(question)))
    site = opened()
    with pytest.raises(Interrupted):
        remove._remove(run(yes=False), site, THREE, node(5))
    assert asked[0].startswith("Take node n5 (10.0.0.5) out of cluster c1 (shop:1.4.0)?")
    assert changes(site) == []


def test_all_follow_a_master_and_masters_a_node() -> None:
    site = opened(up=(2, 3, 5))
    without_master = THREE.advanced(THREE.changed, site=THREE.site.without(master(4)), pending=("m2", "m3", "n5"))
    followers = Followers.of(site.found, without_master)
    assert [host.address for host in followers.hosts] == ["10.0.0.2", "10.0.0.3", "10.0.0.5"]
    assert [member.name for member in followers.members] == ["m2", "m3", "n5"]
    without_node = THREE.advanced(THREE.changed, site=THREE.site.without(node(5)))
    followers = Followers.of(site.found, without_node)
    assert ([host.address for host in followers.hosts], [host.name for host in followers.silent]) == (["10.0.0.2", "10.0.0.3"], ["m4"])


def test_those_that_stay_are_marked_anew_before_anything_else_of_them_changes() -> None:
    assert [type(phase).__name__ for phase in remove.FOLLOW][:2] == ["Claim", "CopyStub"]
    assert type(remove.FOLLOW[-1]).__name__ == "KeepRecord"
