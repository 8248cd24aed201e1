"""The cluster: started once, joined by those that are missing, nothing half made kept, no secret seen."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
import yaml

from installer_stub.errors import ClusterError, CommandFailed
from installer_stub.host.command import Command, CommandResult, Secret
from installer_stub.membership import record
from installer_stub.membership.record import Stage
from installer_stub.phases import hosts_entry
from installer_stub.phases.cluster_access import member_id, wait_for_api
from installer_stub.phases.join_masters import JoinMasters
from installer_stub.phases.join_nodes import EndJoining, JoinNodes
from installer_stub.phases.start_agents import working
from installer_stub.phases.start_first_master import StartFirstMaster
from tests.fakes.certificate import self_signed
from tests.fakes.membership import answers_membership, make_member, node_list
from tests.fakes.plans import M1, M2, N1, N2, make_context, make_plan, masters, nodes, scripted_hosts
from tests.fakes.scripted import ScriptedConnection, failed

PLAN = make_plan(*masters(M1, M2), *nodes(N1, N2))
COREFILE = ".:53 {\n    errors\n    forward . /etc/resolv.conf {\n    }\n    cache 30\n}\n"
NO_MEMBERS = json.dumps({"members": [{"ID": 1, "peerURLs": [f"https://{M1}:2380"], "name": "m2"}]})


def cluster(*members: str, plan: Any = PLAN) -> dict[str, ScriptedConnection]:
    """Hosts on which everything succeeds; ``members`` have completed. Who joins or starts becomes one."""
    hosts = scripted_hosts(plan)
    for address, host in hosts.items():
        host.files["/etc/hosts"] = f"127.0.0.1 localhost\n{M1} api.airseal.internal\n".encode()
        answers_membership(host.on("").journals().tasks())
        host.on("get nodes", node_list(()))
        if address in members:
            make_member(host)

        def started(command: Command, host: ScriptedConnection = host) -> CommandResult:
            make_member(host)
            return CommandResult(0, "", "")

        def initialised(command: Command, host: ScriptedConnection = host) -> CommandResult:
            make_member(host, Stage.INITIALISED)
            return CommandResult(0, "", "")

        def pointed(command: Command, host: ScriptedConnection = host) -> CommandResult:
            host.files["/etc/hosts"] = host.files.pop("/var/lib/airseal/hosts.in-place")
            return CommandResult(0, "", "")

        host.on("systemd-run.*airseal-join", started).on("systemd-run.*start-first-master", initialised).on('cat "\\$1" > "\\$2"', pointed)
    first = hosts[M1]
    first.files["/etc/kubernetes/pki/ca.crt"] = self_signed()
    first.on("member list", NO_MEMBERS)
    first.on("configmap coredns", json.dumps({"kind": "ConfigMap", "data": {"Corefile": COREFILE}}))
    return hosts


def stage(host: ScriptedConnection) -> Stage | None:
    found = record.parse(host.files.get(record.PATH, b""))
    return found.stage if found is not None else None


def script(host: ScriptedConnection, name: str) -> str:
    return host.files[f"/run/airseal/{name}.sh"].decode()


def config(host: ScriptedConnection, path: str) -> list[dict[str, Any]]:
    (command,) = (one for one in host.commands if isinstance(one.stdin, Secret) and path in one.text)
    assert isinstance(command.stdin, Secret)
    return list(yaml.safe_load_all(command.stdin.reveal()))


class TestStartFirstMaster:
    def test_a_complete_first_master_is_never_touched(self) -> None:
        assert not StartFirstMaster().is_needed(make_context(PLAN, cluster(M1)))

    def test_it_starts_from_a_clean_host_and_kubeadm_makes_its_ca(self) -> None:
        hosts = cluster()
        context = make_context(PLAN, hosts)
        assert StartFirstMaster().is_needed(context)
        StartFirstMaster().run(context)
        text = script(hosts[M1], "start-first-master")
        places = [text.index(part) for part in ("kubeadm init", '"stage": "initialised"')]
        assert places == sorted(places)
        assert "kubeadm reset" not in text  # nothing on it is ours to take off
        assert "ca.key" not in text  # the cluster CA's key stands where kubeadm makes it, and nowhere else
        assert stage(hosts[M1]) is Stage.MEMBER
        assert not any(host.changes for address, host in hosts.items() if address != M1)

    def test_what_it_began_itself_and_never_completed_is_taken_off_first(self) -> None:
        hosts = cluster()
        make_member(hosts[M1], Stage.BEGUN)
        StartFirstMaster().run(make_context(PLAN, hosts))
        text = script(hosts[M1], "start-first-master")
        places = [text.index(part) for part in ("kubeadm reset", "kubeadm init", '"stage": "initialised"')]
        assert places == sorted(places)

    def test_before_anything_begins_the_host_writes_down_that_it_does(self) -> None:
        hosts = cluster()
        seen: list[Stage | None] = []

        def begins(command: Command) -> CommandResult:
            seen.append(stage(hosts[M1]))
            make_member(hosts[M1], Stage.INITIALISED)
            return CommandResult(0, "", "")

        hosts[M1].on("systemd-run", begins)
        StartFirstMaster().run(make_context(PLAN, hosts))
        assert seen == [Stage.BEGUN]

    @pytest.mark.parametrize("members", [(M2,), (N1,), (M2, N1, N2)])
    def test_a_blank_first_master_never_begins_a_second_cluster_beside_the_others(self, members: tuple[str, ...]) -> None:
        hosts = cluster(*members)
        with pytest.raises(ClusterError, match=r"10\.0\.0\.2 has no cluster, but"):
            StartFirstMaster().run(make_context(PLAN, hosts))
        assert not any(host.ran("kubeadm init|kubeadm reset") for host in hosts.values())

    def test_killed_after_init_it_is_not_started_again_but_completed(self) -> None:
        hosts = cluster()
        make_member(hosts[M1], Stage.INITIALISED)
        StartFirstMaster().run(make_context(PLAN, hosts))
        assert not hosts[M1].ran("systemd-run")
        assert stage(hosts[M1]) is Stage.MEMBER

    def test_what_an_earlier_run_left_has_ended_before_the_host_is_looked_at(self) -> None:
        hosts = cluster()
        StartFirstMaster().run(make_context(PLAN, hosts))
        texts = [command.text for command in hosts[M1].commands]
        assert "ActiveState" in texts[0]
        assert "systemctl stop" in texts[1]
        assert all("airseal-start-first-master.service" in text for text in texts[:2])
        assert min(place for place, text in enumerate(texts) if "ls -ld" in text) > 1

    def test_kubeadms_own_token_does_not_stay(self) -> None:
        hosts = cluster()
        StartFirstMaster().run(make_context(PLAN, hosts))
        assert hosts[M1].ran("delete secrets .*bootstrap.kubernetes.io/token")

    @pytest.mark.parametrize(("resolv_conf", "patched"), [("/etc/resolv.conf", False), (None, True)])
    def test_forwarding_is_taken_out_where_any_host_has_no_nameserver(self, resolv_conf: str | None, *, patched: bool) -> None:
        plan = make_plan(*masters(M1), *nodes(N1, resolv_conf=resolv_conf))
        hosts = cluster(plan=plan)
        context = make_context(plan, hosts)
        StartFirstMaster().run(context)
        replaced = hosts[M1].ran("replace -f -")
        assert bool(replaced) is patched
        assert bool(hosts[M1].ran("delete pods .*k8s-app=kube-dns")) is patched
        assert bool(context.notes) is patched
        if patched:
            assert isinstance(replaced[0].stdin, bytes)
            assert json.loads(replaced[0].stdin)["data"]["Corefile"] == ".:53 {\n    errors\n    cache 30\n}\n"

    def test_a_failed_init_is_not_noted_as_complete(self) -> None:
        hosts = cluster()
        hosts[M1].tasks((1, "boom\n"))
        with pytest.raises(CommandFailed, match="boom"):
            StartFirstMaster().run(make_context(PLAN, hosts))
        assert stage(hosts[M1]) is Stage.BEGUN


class TestJoinNodes:
    def test_only_those_that_are_missing_join(self) -> None:
        hosts = cluster(M1, M2, N1)
        context = make_context(PLAN, hosts)
        assert JoinNodes().is_needed(context)
        JoinNodes().run(context)
        assert not hosts[N1].ran("systemd-run")
        assert "kubeadm join" in script(hosts[N2], "join")
        assert not JoinNodes().is_needed(context)

    def test_a_complete_cluster_needs_nothing(self) -> None:
        assert not JoinNodes().is_needed(make_context(PLAN, cluster(M1, M2, N1, N2)))
        alone = make_plan(*masters(M1))
        assert not JoinNodes().is_needed(make_context(alone, cluster(M1, plan=alone)))

    def test_a_half_made_join_is_cleared_first_on_both_sides(self) -> None:
        hosts = cluster(M1, M2, N1)
        make_member(hosts[N2], Stage.BEGUN)
        JoinNodes().run(make_context(PLAN, hosts))
        changes = hosts[N2].changes
        assert changes.index("take a half-made join off the host") < changes.index("run join")
        assert hosts[M1].ran("delete node n6 ")
        assert not hosts[M1].ran("delete node n5 ")
        assert not hosts[M1].ran("etcdctl")  # a node has no etcd

    def test_no_secret_is_on_a_command_line_in_a_log_or_left_on_a_disk(self) -> None:
        hosts = cluster(M1, M2)
        JoinNodes().run(make_context(PLAN, hosts))
        (join,) = config(hosts[N1], "/run/airseal/join.yaml")
        token = join["discovery"]["bootstrapToken"]["token"]
        assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", token)
        secret = token.partition(".")[2]
        for host in hosts.values():
            assert secret not in host.seen()
            assert not any(secret.encode() in data for data in host.files.values())
        assert "trap 'rm -f /run/airseal/join.yaml' EXIT" in script(hosts[N1], "join")
        assert "remove /run/airseal/join.yaml" in hosts[N1].changes

    @pytest.mark.parametrize("fails", [False, True])
    def test_the_token_is_taken_back_whatever_happens(self, *, fails: bool) -> None:
        hosts = cluster(M1, M2, N1)
        if fails:
            hosts[N2].on("systemd-run", failed())
            with pytest.raises(CommandFailed), working(make_context(PLAN, hosts)) as context:
                JoinNodes().run(context)
        else:
            context = make_context(PLAN, hosts)
            JoinNodes().run(context)
            assert EndJoining().is_needed(context)
            EndJoining().run(context)
            assert not EndJoining().is_needed(context)
        assert len(hosts[M1].ran("delete secret .*bootstrap-token-[a-z0-9]{6}")) == 1

    def test_where_nobody_joined_there_is_nothing_to_take_back(self) -> None:
        assert not EndJoining().is_needed(make_context(PLAN, cluster(M1, M2, N1, N2)))

    def test_one_grant_serves_all(self) -> None:
        hosts = cluster(M1, M2)
        JoinNodes().run(make_context(PLAN, hosts))
        assert len(hosts[M1].ran("kubeadm token create --config")) == 1
        assert not hosts[M1].ran("upload-certs")


class TestJoinMasters:
    def test_one_master_needs_nothing(self) -> None:
        alone = make_plan(*masters(M1))
        assert not JoinMasters().is_needed(make_context(alone, cluster(M1, plan=alone)))

    def test_it_joins_and_then_finds_the_api_at_itself(self) -> None:
        hosts = cluster(M1)
        context = make_context(PLAN, hosts)
        assert JoinMasters().is_needed(context)
        JoinMasters().run(context)
        (join,) = config(hosts[M2], "/run/airseal/join.yaml")
        assert join["controlPlane"]["localAPIEndpoint"]["advertiseAddress"] == M2
        assert hosts_entry.points_to(hosts[M2], M2)
        assert hosts_entry.points_to(hosts[M1], M1)
        assert not JoinMasters().is_needed(context)

    def test_one_that_joined_but_still_looks_elsewhere_is_turned_and_not_joined_again(self) -> None:
        hosts = cluster(M1, M2)
        context = make_context(PLAN, hosts)
        assert JoinMasters().is_needed(context)
        JoinMasters().run(context)
        assert not hosts[M2].ran("systemd-run")
        assert hosts_entry.points_to(hosts[M2], M2)

    def test_while_it_joins_it_looks_at_the_first_master(self) -> None:
        hosts = cluster(M1)
        hosts[M2].files["/etc/hosts"] = f"{M2} api.airseal.internal\n".encode()
        seen = []
        hosts[M2].on("systemd-run", lambda command: seen.append(hosts_entry.points_to(hosts[M2], M1)) or CommandResult(0, "", ""))
        JoinMasters().run(make_context(PLAN, hosts))
        assert seen == [True]

    def test_a_stale_etcd_member_goes_before_the_host_is_cleared(self) -> None:
        hosts = cluster(M1)
        make_member(hosts[M2], Stage.BEGUN)
        order: list[str] = []
        members = json.dumps({"members": [{"ID": 255, "peerURLs": [f"https://{M2}:2380"]}]})
        hosts[M1].on("member list", members)
        hosts[M1].on("member remove ff", lambda command: order.append("etcd") or CommandResult(0, "", ""))
        hosts[M2].on("kubeadm reset", lambda command: order.append("reset") or CommandResult(0, "", ""))
        JoinMasters().run(make_context(PLAN, hosts))
        assert order == ["etcd", "reset"]

    def test_each_master_has_a_grant_of_its_own_and_the_certificates_do_not_stay(self) -> None:
        plan = make_plan(*masters(M1, M2, "10.0.0.4"))
        hosts = cluster(M1, plan=plan)
        owner = base64.b64encode(b"Proxy for managing TTL for the kubeadm-certs secret").decode()
        theirs = base64.b64encode(b"of the site").decode()
        # Whose end in two hours ends the certificates; one that a killed run left; and two of others.
        listed = f"bootstrap-token-0wn3r0 {owner}\nbootstrap-token-k1ll3d {owner}\nbootstrap-token-th31r5 {theirs}\nbootstrap-token-p1a1n0 \n"
        hosts[M1].on("get secrets .*bootstrap.kubernetes.io/token", listed)
        JoinMasters().run(make_context(plan, hosts))
        assert len(hosts[M1].ran("upload-certs")) == 2
        assert len(hosts[M1].ran("delete secret .*kubeadm-certs bootstrap-token-0wn3r0 bootstrap-token-k1ll3d$")) == 2


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([], None),
        ([{"ID": 10501334649042878790, "name": "m3", "peerURLs": ["https://10.0.0.3:2380"]}], "91bc3c398fb3c146"),
        ([{"ID": 7, "name": "", "peerURLs": ["https://10.0.0.3:2380"]}], "7"),  # a learner that never started
        ([{"ID": 7, "name": "m3", "peerURLs": ["https://10.0.0.30:2380"]}], None),
        ([{"ID": 7}], None),
    ],
)
def test_the_etcd_member_of_a_host_is_found_by_its_address(members: list[Any], expected: str | None) -> None:
    assert member_id(json.dumps({"members": members}), "10.0.0.3") == expected


def test_an_unreadable_list_of_members_is_not_an_empty_one() -> None:
    with pytest.raises(ClusterError):
        member_id("Error: no leader", M1)


def test_waiting_for_the_api_ends_with_what_to_look_at() -> None:
    hosts = cluster()
    hosts[M1].on("readyz", failed(), failed(), "ok")
    wait_for_api(make_context(PLAN, hosts), sleep=lambda _: None)
    hosts[M1].on("readyz", failed())
    now = iter(range(100))
    with pytest.raises(ClusterError, match="did not become ready within 10 s"):
        wait_for_api(make_context(PLAN, hosts), timeout=10, clock=lambda: float(next(now)), sleep=lambda _: None)


def test_the_etcd_member_of_an_ipv6_host_is_found() -> None:
    assert member_id(json.dumps({"members": [{"ID": 7, "peerURLs": ["https://[fd00::3]:2380"]}]}), "fd00::3") == "7"
