"""The operator's kubeconfig after the installation: its end is told, and it is made anew from the site as it is now."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.errors import ClusterError
from installer_stub.facts.certificates import Certificate
from installer_stub.site.choose import Chosen
from installer_stub.site.find import Found
from installer_stub.verbs.certs import HostCertificates, Shown, table
from installer_stub.verbs.operators_file import OperatorsFile, look, renew
from tests.fakes.admin_conf import admin_conf, authority, certificate, encoded, key, pem
from tests.fakes.scripted import ScriptedConnection
from tests.fakes.sites import master, node, record

M1, M2 = "10.0.0.2", "10.0.0.3"


@pytest.fixture
def found() -> Found:
    known = record(master(2), master(3), node(5))
    hosts = {host.address: ScriptedConnection(host.reach) for host in known.site.hosts}
    for host in hosts.values():
        host.files[KUBEADM.authority] = authority()
    hosts[M2].files[KUBEADM.kubeconfig] = yaml.safe_dump(admin_conf()).encode()
    return Found(dict(hosts), {}, Chosen("c1", known), known, api=M2)


def test_it_names_the_master_that_answers_and_all_others_and_ends_when_its_certificate_does(tmp_path: Path, found: Found) -> None:
    target = tmp_path / "site" / "kubeconfig"
    assert look(target, found.connections.values()) is None
    assert renew(target, found, "shop") == f"{target} was written"
    value = yaml.safe_load(target.read_text())
    assert [each["cluster"]["server"] for each in value["clusters"]] == [f"https://{M2}:6443", f"https://{M1}:6443", f"https://{M2}:6443"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    mine = look(target, found.connections.values())
    assert mine is not None
    assert mine.certificate.ends - mine.certificate.begins == 365 * 86400
    assert renew(target, found, "shop") == f"{target} is as it should be"
    target.chmod(0o644)
    assert renew(target, found, "shop") == f"{target} was written"


def test_an_older_one_goes_and_what_says_something_else_is_kept(tmp_path: Path, found: Found) -> None:
    target = tmp_path / "kubeconfig"
    renew(target, found, "shop")
    fresh = admin_conf()
    user = fresh["users"][0]["user"]
    user["client-certificate-data"] = encoded(certificate("kubernetes-admin", key("next"), "kubernetes", key("cluster")))
    user["client-key-data"] = encoded(pem(key("next")))
    host = found.connections[M2]
    assert isinstance(host, ScriptedConnection)
    host.files[KUBEADM.kubeconfig] = yaml.safe_dump(fresh).encode()
    assert renew(target, found, "shop") == f"{target} was written"
    assert [path.name for path in tmp_path.iterdir()] == ["kubeconfig"]
    target.write_text("theirs")
    assert renew(target, found, "shop").endswith(f"the one that was there is now {target}.bak")


def test_one_of_another_cluster_is_not_this_ones(tmp_path: Path, found: Found) -> None:
    target = tmp_path / "kubeconfig"
    renew(target, found, "shop")
    for host in found.connections.values():
        assert isinstance(host, ScriptedConnection)
        host.files[KUBEADM.authority] = authority("another")
    assert look(target, found.connections.values()) is None
    with pytest.raises(ClusterError, match="another CA"):
        renew(target, found, "shop")
    assert look(tmp_path, found.connections.values()) is None


def test_without_an_api_nothing_is_written(tmp_path: Path, found: Found) -> None:
    found.api = ""
    with pytest.raises(ClusterError, match="no API server answers"):
        renew(tmp_path / "kubeconfig", found, "shop")
    assert not list(tmp_path.iterdir())


def test_it_stands_in_the_list_beside_the_hosts() -> None:
    mine = OperatorsFile("./kubeconfig", Certificate("./kubeconfig", 0.0, 1.0))
    text, bad = table(Shown((HostCertificates(master(2).reach, 0.0, (Certificate("/etc/x.crt", 0.0, 400 * 86400.0),)),), mine))
    assert bad == 1
    assert text.splitlines()[1].split()[:2] == ["✗", "here"]
