"""What hosts say in lines, and which of it counts."""

from __future__ import annotations

import base64
import datetime as dt
import subprocess
from pathlib import Path

import pytest

from tests.soak import host_state, machine_state
from tests.soak.cluster_state import Alive, ends_soon
from tests.soak.facts import Difference, Facts
from tests.testbed.cache import TestBedError


def test_a_state_that_was_told_to_its_end_is_told_from_one_that_was_not() -> None:
    # The last process that is looked at may be one of a pod, or gone: the script ends well all the same.
    last = host_state.SCRIPT[host_state.SCRIPT.index("for p in /proc/") :]
    said = subprocess.run(["/bin/sh", "-c", last], capture_output=True, text=True, check=True).stdout
    assert "process" in host_state.parse(host_state.whole(said, "m1"))
    with pytest.raises(TestBedError, match="m1: the script"):
        host_state.whole(said.removesuffix("whole\n"), "m1")



def test_units_of_logins_and_pods_do_not_count() -> None:
    said = "unit\tkubelet.service\tactive\nunit\tsession-4.scope\tactive\nunit\tuser@0.service\tactive\nunit-file\tkubelet.service\tenabled\n"
    assert host_state.parse(said) == {"unit": {"kubelet.service": "active"}, "unit-file": {"kubelet.service": "enabled"}}


def test_a_sysctl_of_a_pods_link_does_not_count_and_one_of_the_host_does() -> None:
    said = "sysctl\tnet.ipv4.conf.veth12.forwarding\t1\nsysctl\tnet.ipv4.ip_forward\t1\nsysctl\tnet.netfilter.nf_conntrack_count\t7\n"
    assert host_state.parse(said) == {"sysctl": {"net.ipv4.ip_forward": "1"}}


def test_each_record_counts_once_with_the_last_word_on_it(tmp_path: Path) -> None:
    state = tmp_path / "var/lib/airseal"
    state.mkdir(parents=True)
    (state / "journal.jsonl").write_text(
        '{"kind": "file", "name": "/etc/x", "previous": null}\n{"kind": "file", "name": "/etc/y", "state": "intent"}\n'
        '{"kind": "file", "name": "/etc/y", "state": "done"}\n{"kind": "file", "na'
    )
    assert host_state.records(tmp_path, str) == {"file /etc/x": "noted", "file /etc/y": "done"}


def test_rules_that_stand_twice_are_counted() -> None:
    said = "iptables-nft\t-A INPUT -j DROP\tthere\n" * 2
    assert machine_state.parse(said) == {"iptables-nft": {"-A INPUT -j DROP": "there 2"}}


def test_left_is_what_differs_but_for_sysctls_of_the_whole_machine() -> None:
    before = Facts("m1", {"sysctl": {"vm.overcommit_memory": "0 1", "net.ipv4.ip_forward": "0 1"}, "link": {"eth0": "UP 1"}})
    after = Facts("m1", {"sysctl": {"vm.overcommit_memory": "1 1", "net.ipv4.ip_forward": "1 1"}, "link": {"eth0": "UP 1", "cni0": "UP 1"}})
    assert [one.name for one in machine_state.left(before, after)] == ["cni0", "net.ipv4.ip_forward"]


def test_what_the_installer_names_is_not_unnamed() -> None:
    found = [
        Difference("m1", "file", "/root/.kube/cache/x", None, "file"),
        Difference("m1", "link", "cni0", None, "UP"),
        Difference("m1", "iptables-nft", "-A KUBE-FORWARD -j ACCEPT", None, "there"),
        Difference("m1", "unit", "docker.service", "active", "inactive"),
    ]
    said = "left: /root/.kube, the link cni0, chains KUBE-FORWARD and KUBE-SERVICES"
    assert [one.name for one in machine_state.unnamed(found, said)] == ["docker.service"]
    assert [one.name for one in machine_state.unnamed(found, "")] == [one.name for one in found]


def test_a_base_chain_is_named_by_its_name() -> None:
    chain = [
        Difference("m1", "nft", "chain PREROUTING {", None, "there 1"),
        Difference("m1", "nft", "type nat hook prerouting priority dstnat; policy accept;", None, "there 1"),
    ]
    assert list(machine_state.unnamed(chain, "nftables ip nat: was OUTPUT POSTROUTING, is OUTPUT POSTROUTING PREROUTING")) == []
    assert list(machine_state.unnamed(chain, "nftables ip nat: was OUTPUT, is OUTPUT")) == chain


def test_a_file_is_not_named_by_the_root_of_everything() -> None:
    found = [Difference("m1", "file", "/etc/x", None, "file")]
    assert list(machine_state.unnamed(found, "everything below /etc is as it was, and / too")) == found


def test_harm_is_what_is_gone_or_another_one() -> None:
    was = Alive({"m1": "u1", "n1": "u2"}, {"m1": "voting"}, {"m1 etcd": "id 10:00"}, {"m1 kubelet": "5"})
    assert was.harmed(was) == []
    later = Alive({"m1": "u1", "n1": "u3", "n2": "u9"}, {}, {"m1 etcd": "id 10:05"}, {"m1 kubelet": "6"})
    assert [line.split(":")[0] for line in was.harmed(later)] == ["node n1", "etcd member m1", "container m1 etcd", "unit m1 kubelet"]
    assert len(was.harmed(later, units=False)) == 3


@pytest.mark.parametrize(("state", "told"), [("inactive", "inactive"), ("activating", "inactive"), ("failed", "failed")])
def test_what_a_timer_is_doing_at_the_moment_is_no_difference_and_that_it_failed_is_one(state: str, told: str) -> None:
    assert host_state.parse(f"unit\tairseal-keep.service\t{state}\n") == {"unit": {"airseal-keep.service": told}}
    assert host_state.parse(f"unit\tkubelet.service\t{state}\n") == {"unit": {"kubelet.service": state}}


@pytest.mark.parametrize(("minutes", "soon"), [(10, True), (60, False), (None, False)])
def test_only_a_token_that_ends_by_itself_soon_is_passed_over(minutes: int | None, *, soon: bool) -> None:
    ends = "" if minutes is None else (dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert ends_soon({"data": {"expiration": base64.b64encode(ends.encode()).decode()}}) is soon
