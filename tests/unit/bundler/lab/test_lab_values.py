"""A lab's topology, its border and what its operator says: values, before any container."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from cryptography.hazmat.primitives import serialization

from bundler.errors import ClusterFailed, UsageError
from bundler.lab import operator
from bundler.lab.border import Contact, contacts, guard
from bundler.lab.keys import KeyPair, host_files, operator_files
from bundler.lab.lab import Lab
from bundler.lab.topology import Topology
from bundler.lab.whose import owners_by_address, tell_contacts, whose
from bundler.rehearsal.rehearse import clusterfile_of, command
from installer_stub.clusterfile.read import parse
from installer_stub.host.model import Host, Role
from installer_stub.options import HostWishes
from installer_stub.site.model import SiteHost
from tests.fakes.scripted import ScriptedConnection, failed, succeeded
from tests.unit.bundler.reporter import Remembering


@pytest.mark.parametrize(("text", "names"), [("1+0", ("m1",)), ("1+2", ("m1", "n1", "n2")), ("3+1", ("m1", "m2", "m3", "n1"))])
def test_a_topology_is_masters_and_nodes(text: str, names: tuple[str, ...]) -> None:
    found = Topology.parse("--rehearse", text)
    assert (found.names, str(found)) == (names, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "no topology"), (".", "no file"), ("1", "no topology"), ("1+", "no topology"), ("+1", "no topology"), ("1+1+1", "no topology"), ("-1+1", "no topology"),
     ("a+b", "no topology"), ("0+3", "0 masters"), ("2+1", "odd number"), ("4+0", "odd number"), ("1+99", "at most 12"), ("1+123", "no topology")],
)  # fmt: skip
def test_what_is_no_topology_is_said_with_the_option(text: str, said: str) -> None:
    with pytest.raises(UsageError, match="--rehearse") as error:
        Topology.parse("--rehearse", text)
    assert said in str(error.value)


CLUSTERFILE = """\
apiVersion: airseal/v1
kind: Cluster
hosts:
  - {address: 10.0.0.7, role: node, labels: {disk: ssd, rack: "7"}, taints: ["dedicated=db:NoSchedule"], env: {A: b}}
  - {address: 10.0.0.2, role: master}
  - {address: 10.0.0.8, role: node, env: {A: b}}
  - {address: 10.0.0.9, role: node, taints: ["slow:NoExecute"]}
registry: {port: 6000}
"""


def test_a_topology_of_a_clusterfile_has_its_hosts_with_roles_labels_and_taints(tmp_path: Path) -> None:
    file = tmp_path / "Clusterfile"
    file.write_text(CLUSTERFILE)
    found = Topology.parse("--record", str(file))
    assert (found.names, str(found)) == (("m1", "n1", "n2", "n3"), "1+3 (n1: disk=ssd, rack=7, dedicated=db:NoSchedule; n3: slow:NoExecute)")
    assert found.as_site("n1", Host("172.19.0.3", Role.NODE)) == SiteHost(
        "n1", Role.NODE, "172.19.0.3", "172.19.0.3", labels=(("disk", "ssd"), ("rack", "7")), taints=("dedicated=db:NoSchedule",)
    )
    file.write_text(re.sub(r", (labels: {.*?}|taints: \[.*?\])", "", CLUSTERFILE))
    assert Topology.parse("--record", str(file)) == Topology(1, 3), "without labels and taints it is as many hosts"


@pytest.mark.parametrize(
    ("change", "said"),
    [(("role: master", "role: node"), "no master"), (("role: node, env", "role: master, env"), "odd number"), (("disk: ssd", "disk: [ssd]"), "a text is wanted"), (("kind: Cluster", "kind: Pod"), "kind")],
)
def test_a_clusterfile_that_makes_no_lab_is_said_with_the_option(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    file = tmp_path / "Clusterfile"
    file.write_text(CLUSTERFILE.replace(*change))
    with pytest.raises(UsageError, match="--record") as error:
        Topology.parse("--record", str(file))
    assert said in str(error.value)


def test_the_rehearsals_operator_applies_a_clusterfile_where_hosts_have_labels() -> None:
    hosts = [SimpleNamespace(name=name, host=Host(address, role)) for name, address, role in (("m1", "172.19.0.2", Role.MASTER), ("n1", "172.19.0.3", Role.NODE))]
    wishes = HostWishes((("disk", "ssd"),), ("slow:NoExecute",))
    plain, labelled = (
        cast("Lab", SimpleNamespace(topology=topology, hosts=hosts, masters=hosts[:1], nodes=hosts[1:])) for topology in (Topology(1, 1), Topology(1, 1, (("n1", wishes),)))
    )
    assert clusterfile_of(plain) == b""
    assert command(plain, "/site/shop.run")[1:6] == ["install", "--master", "172.19.0.2", "--node", "172.19.0.3"]
    assert command(labelled, "/site/shop.run")[1:5] == ["apply", "-f", "/site/Clusterfile", "--identity"]
    site = parse(clusterfile_of(labelled), "Clusterfile", user="root", port=22)
    assert [(host.address, host.role) for host in site.hosts] == [(each.host.address, each.host.role) for each in hosts]
    assert dict(site.wishes) == {"172.19.0.3": wishes}


def test_who_wanted_out_is_told_by_workload_or_host() -> None:
    owned = [{"kind": "ReplicaSet", "name": "api-5d4f", "uid": "rs", "controller": True}]
    objects = [
        {"kind": "Pod", "metadata": {"name": "api-5d4f-x", "namespace": "shop", "ownerReferences": owned}, "status": {"podIP": "10.244.1.7"}},
        {"kind": "ReplicaSet", "metadata": {"name": "api-5d4f", "namespace": "shop", "uid": "rs", "ownerReferences": [{"kind": "Deployment", "name": "api"}]}},
        {"kind": "Pod", "metadata": {"name": "proxy", "namespace": "kube-system"}, "spec": {"hostNetwork": True}, "status": {"podIP": "172.19.0.3"}},
    ]
    owners, hosts = owners_by_address(objects), {"172.19.0.3": "n1"}
    said = [whose(Contact(source, "1.1.1.1", "tcp", 443), owners, hosts) for source in ("10.244.1.7", "172.19.0.3", "10.244.9.9")]
    assert said[0] == "Deployment shop/api"
    assert "host n1" in said[1]
    assert "10.244.9.9" in said[2]


@pytest.mark.parametrize("api", [True, False])
def test_contacts_are_told_of_every_host_that_can_be_asked_and_by_address_where_the_api_is_gone(*, api: bool) -> None:
    pod = {"kind": "Pod", "metadata": {"name": "api", "namespace": "shop"}, "status": {"podIP": "10.244.1.7"}}
    master = ScriptedConnection(Host("172.19.0.2", Role.MASTER)).on("nft", seen({"concat": ["172.19.0.2", "8.8.8.8", "udp", 53]}))
    master.on("get pods", json.dumps({"items": [pod]}) if api else failed(1, "refused"))
    node = ScriptedConnection(Host("172.19.0.3", Role.NODE)).on("nft", seen({"concat": ["10.244.1.7", "1.1.1.1", "tcp", 443]}))
    lost = ScriptedConnection(Host("172.19.0.4", Role.NODE)).on("nft", failed(255))
    said = Remembering()
    tell_contacts({"m1": master, "n1": node, "n2": lost}, said)
    assert [line.partition("either: ")[2] for line in said.steps] == [
        f"1.1.1.1 port 443/tcp, wanted by {'Pod shop/api' if api else 'a pod at 10.244.1.7; the API could not be asked whose that is'}",
        "8.8.8.8 port 53/udp, wanted by a program of the host m1, a command of the Kubefile or a pod in the host's network",
    ]


def seen(*elements: object) -> str:
    return json.dumps({"nftables": [{"metainfo": {}}, {"set": {"name": "seen", **({"elem": list(elements)} if elements else {})}}]})


def test_the_border_is_closed_around_these_networks_and_tells_who_wanted_out() -> None:
    host = ScriptedConnection().on("nft -f -").on("nft -j list", seen())
    guard(host, ("172.19.0.0/16", "10.96.0.0/16"))
    rules = host.commands[0].stdin
    assert isinstance(rules, bytes)
    assert b"172.19.0.0/16, 10.96.0.0/16" in rules
    assert contacts(host) == frozenset()
    timed = {"elem": {"val": {"concat": ["10.244.1.7", "1.1.1.1", "tcp", 443]}, "expires": 5}}
    host.on("nft -j list", seen(timed, {"concat": ["172.19.0.2", "8.8.8.8", "udp", 53]}))
    assert contacts(host) == {Contact("10.244.1.7", "1.1.1.1", "tcp", 443), Contact("172.19.0.2", "8.8.8.8", "udp", 53)}


@pytest.mark.parametrize("answer", ["", "{", "[]", '{"nftables": []}', '{"nftables": [{"set": {"elem": [{"concat": ["a"]}]}}]}'])
def test_a_border_that_cannot_be_read_is_not_a_quiet_one(answer: str) -> None:
    with pytest.raises(ClusterFailed, match="nobody can tell"):
        contacts(ScriptedConnection().on("nft -j list", succeeded(answer)))
    with pytest.raises(ClusterFailed, match="cannot be closed"):
        guard(ScriptedConnection().on("nft -f -", failed(1, "Operation not supported")), ())


def test_hosts_and_operator_know_each_other_and_no_key_is_printed() -> None:
    client, host = KeyPair.make(), KeyPair.make()
    with tarfile.open(fileobj=io.BytesIO(host_files(host, client))) as tar:
        entries = {entry.name: (entry.mode, tar.extractfile(entry).read()) for entry in tar}  # type: ignore[union-attr]
    assert entries["root/.ssh/authorized_keys"] == (0o600, f"{client.public}\n".encode())
    assert entries["etc/ssh/ssh_host_ed25519_key"][0] == 0o600
    assert serialization.load_ssh_private_key(entries["etc/ssh/ssh_host_ed25519_key"][1], None)
    with tarfile.open(fileobj=io.BytesIO(operator_files(client, {"10.0.0.2": host}))) as tar:
        assert tar.extractfile("site/known_hosts").read() == f"10.0.0.2 {host.public}\n".encode()  # type: ignore[union-attr]
    assert "PRIVATE" not in repr(client)


def test_lines_come_as_they_are_said_whatever_pieces_they_come_in() -> None:
    assert list(operator._lines(iter([b"on", b"e\r\ntw\xc3", b"\xa4o\n", b"", b"end"]))) == ["one", "twäo", "end"]
    assert list(operator._lines(iter([b"\xff\n"]))) == ["\ufffd"]


def test_an_artifact_travels_as_a_tar_whatever_its_size(tmp_path: Path) -> None:
    for size in (0, 1, 511, 512, 3 << 20):
        (tmp_path / "shop.run").write_bytes(b"x" * size)
        moved: list[int] = []
        data = b"".join(operator._tar(tmp_path / "shop.run", lambda count, _total, moved=moved: moved.append(count)))
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            (entry,) = tar.getmembers()
            assert (entry.name, entry.mode, entry.size, sum(moved)) == ("shop.run", 0o755, size, size)
