"""The record is found from any host of the site, or made from the cluster where an older release kept none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from installer_stub.errors import ClusterError, RecordError
from installer_stub.facts.gather import HostFacts
from installer_stub.facts.software import Membership
from installer_stub.host.connection import Connection
from installer_stub.host.model import Host, Role
from installer_stub.kube.kubectl import Kubectl
from installer_stub.site.codec import encode_identity, encode_record
from installer_stub.site.find import Found, find_site, with_marks
from installer_stub.site.model import BundleState, Identity, SiteRecord
from installer_stub.site.store import IDENTITY, RECORD, write_in_cluster
from installer_stub.site.whose import UNKNOWN, whose
from tests.fakes.certificate import self_signed
from tests.fakes.scripted import ScriptedConnection, failed
from tests.fakes.sites import CHANGE, master, node, record
from tests.unit.installer_stub.facts.recordings import facts

THREE = record(master(2), master(3), master(4), node(5))
OLD = json.dumps({"cluster": "c1", "bundle": "shop:1.4.0"}).encode()


def host(number: int, role: Role = Role.MASTER, *, api: bool = False, in_cluster: SiteRecord | None = None, **files: bytes) -> ScriptedConnection:
    paths = {"record": RECORD, "identity": IDENTITY}
    connection = ScriptedConnection(Host(f"10.0.0.{number}", role), files={paths[name]: data for name, data in files.items()})
    connection.on("kubectl", failed(1, "refused")).on("test -e /etc/kubernetes/admin.conf", failed())
    if api:
        stored = json.dumps({"data": {"site.json": encode_record(in_cluster).decode()}}) if in_cluster else ""
        connection.on("readyz", "ok").on("get configmap airseal-site", stored)
    return connection


def identity(name: str, role: Role = Role.NODE) -> bytes:
    return encode_identity(Identity("c1", ("shop:1.4.0",), name, role, ("10.0.0.2", "10.0.0.3", "10.0.0.4")))


class Reach:
    """Connects the hosts that there are, and remembers who was asked for."""

    def __init__(self, *hosts: ScriptedConnection) -> None:
        self._hosts = {each.host.address: each for each in hosts}
        self.asked: list[str] = []

    def __call__(self, hosts: tuple[Host, ...]) -> Mapping[str, Connection]:
        self.asked += [each.address for each in hosts]
        return {each.address: self._hosts[each.address] for each in hosts if each.address in self._hosts}


def find(*hosts: ScriptedConnection, reach: Reach | None = None) -> Found:
    return find_site({each.host.address: each for each in hosts}, reach or Reach(), CHANGE)


def test_blank_hosts() -> None:
    found = find(host(2), host(5, Role.NODE))
    assert (found.record, found.chosen.cluster, found.api) == (None, "", "")


def test_a_master_that_slept_is_put_right_by_the_cluster() -> None:
    newer = replace(THREE, epoch=9)
    found = find(host(3, api=True, in_cluster=newer, record=encode_record(THREE), identity=identity("m3", Role.MASTER)))
    assert (found.record, found.api) == (newer, "10.0.0.3")


def test_a_master_without_an_api_leads_to_the_others() -> None:
    newer = replace(THREE, epoch=9)
    reach = Reach(host(3, api=True, in_cluster=newer, record=encode_record(newer)))
    found = find(host(2, record=encode_record(THREE)), reach=reach)
    assert reach.asked == ["10.0.0.3", "10.0.0.4"]
    assert (found.record, found.api, found.guides) == (newer, "10.0.0.3", ["10.0.0.3"])


def test_a_node_leads_to_the_record() -> None:
    reach = Reach(host(4, record=encode_record(THREE)))
    found = find(host(5, Role.NODE, identity=identity("n5")), host(9, Role.NODE), reach=reach)
    assert reach.asked == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
    assert found.record == THREE


def test_hosts_of_two_clusters_are_refused() -> None:
    with pytest.raises(ClusterError):
        find(host(2, record=encode_record(THREE)), host(9, record=encode_record(replace(THREE, cluster="c2"))))


def kubeadm(services: str = "10.200.0.0/16") -> str:
    config = {"clusterName": "shop", "kubernetesVersion": "v1.36.3", "networking": {"podSubnet": "10.1.0.0/16", "serviceSubnet": services}}
    return json.dumps({"data": {"ClusterConfiguration": yaml.safe_dump(config)}})


def nodes() -> str:
    def item(name: str, address: str, created: str, *, control: bool) -> dict[str, Any]:
        labels = {"node-role.kubernetes.io/control-plane": ""} if control else {}
        metadata = {"name": name, "labels": labels, "creationTimestamp": created}
        return {"metadata": metadata, "status": {"addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]}}

    items = [item("n5", "10.0.0.5", "2026-01-01", control=False), item("m3", "10.0.0.3", "2026-01-03", control=True), item("m9", "10.0.0.2", "2026-01-02", control=True)]
    return json.dumps({"items": items})


def test_an_older_releases_cluster_says_itself_how_it_was_wanted() -> None:
    first = host(2, api=True, identity=OLD).on("get configmap kubeadm-config", kubeadm()).on("get nodes", nodes())
    made = find(first, host(5, Role.NODE, identity=OLD)).record
    assert made is not None
    assert (made.cluster, made.site.networks.services, made.site.networks.pods) == ("c1", "10.200.0.0/16", "10.1.0.0/16")
    assert [(each.name, each.role, each.internal) for each in made.site.hosts] == [
        ("m9", Role.MASTER, "10.0.0.2"),
        ("m3", Role.MASTER, "10.0.0.3"),
        ("n5", Role.NODE, "10.0.0.5"),
    ]
    assert [(each.title, each.digest, each.state) for each in made.site.bundles] == [("shop:1.4.0", "", BundleState.INSTALLING)]


def test_a_cluster_that_lost_every_copy_still_knows_its_application() -> None:
    first = host(2, api=True, identity=identity("m2", Role.MASTER)).on("get configmap kubeadm-config", kubeadm()).on("get nodes", nodes())
    made = find(first).record
    assert made is not None
    assert [each.name for each in made.site.bundles] == ["shop"]


@pytest.mark.parametrize("answer", [json.dumps({"data": {}}), json.dumps({"data": {"ClusterConfiguration": "- a"}}), kubeadm("")[:-1].replace("10.200", "") + "}"])
def test_a_cluster_that_says_too_little_is_an_error(answer: str) -> None:
    first = host(2, api=True, identity=OLD).on("get configmap kubeadm-config", answer).on("get nodes", json.dumps({"items": []}))
    with pytest.raises(RecordError):
        find(first)


def test_a_cluster_without_record_and_without_api_is_an_error_and_not_a_new_site() -> None:
    with pytest.raises(RecordError, match="its API does not answer"):
        find(host(2, identity=OLD).on("test -e /etc/kubernetes/admin.conf", ""))


def test_one_that_was_begun_and_has_no_record_keeps_its_id() -> None:
    found = find(host(2, identity=OLD))
    assert (found.record, found.chosen.cluster) == (None, "c1")


def test_a_torn_copy_in_the_cluster_is_an_error_only_where_it_is_the_only_one() -> None:
    torn = json.dumps({"data": {}})
    assert find(host(2, api=True, record=encode_record(THREE)).on("get configmap airseal-site", torn)).record == THREE
    with pytest.raises(RecordError, match="holds no record"):
        find(host(2, api=True, identity=identity("m2", Role.MASTER)).on("get configmap airseal-site", torn))


def test_the_cluster_keeps_what_is_read_back() -> None:
    connection = host(2, api=True).on("apply --server-side", "")
    write_in_cluster(Kubectl(connection), THREE)
    (command,) = connection.ran("apply --server-side")
    assert isinstance(command.stdin, bytes)
    assert encode_record(THREE).decode() == json.loads(command.stdin)["data"]["site.json"]


def test_a_torn_mark_is_healed_only_on_a_host_of_the_record() -> None:
    first = host(2, record=encode_record(THREE))
    assert find(first, host(5, Role.NODE, identity=b"{")).record == THREE
    with pytest.raises(RecordError, match=r"10\.0\.0\.9: .* does not have this host") as caught:
        find(first, host(9, Role.NODE, identity=b"{"))
    assert "--cluster unknown" in caught.value.remedy


def test_a_reset_is_possible_where_every_mark_is_torn() -> None:
    torn = host(2, record=b"{", identity=b"{")
    found = whose({"10.0.0.2": torn})
    assert (found.record, found.chosen.cluster) == (None, UNKNOWN)
    half = whose({"10.0.0.2": host(2, record=b"{", identity=identity("m2", Role.MASTER))})
    assert (half.record, half.chosen.cluster) == (None, "c1")
    with pytest.raises(ClusterError):
        whose({"10.0.0.2": host(2, record=encode_record(THREE)), "10.0.0.9": host(9, record=encode_record(replace(THREE, cluster="c2")))})


def joined(cluster: str = "") -> HostFacts:
    return replace(facts("debian-12-blank-host"), membership=Membership(cluster, "", joined=True, server="https://x:6443"))


def test_a_host_that_lost_its_marks_is_ours_if_it_has_the_records_authority() -> None:
    from installer_stub.distro.kubeadm import KUBEADM

    ours = replace(THREE, authority=KUBEADM.authority_hash(self_signed()))
    lost = host(3)
    lost.files["/etc/kubernetes/pki/ca.crt"] = self_signed()
    found = find(host(2, record=encode_record(ours)), lost)
    known = with_marks({"10.0.0.2": joined(), "10.0.0.3": joined()}, found)
    assert {each.membership.cluster for each in known.values()} == {"c1"}
    lost.files["/etc/kubernetes/pki/ca.crt"] = b"another"
    assert not with_marks({"10.0.0.3": joined()}, found)["10.0.0.3"].membership.ours
