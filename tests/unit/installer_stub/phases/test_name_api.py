"""A later --san or --endpoint: kubeadm's configuration, then one API server after the other, and from any cut on again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from installer_stub.distro import api_certificate
from installer_stub.distro.paths import API_CERTIFICATE
from installer_stub.errors import ClusterError, HostError
from installer_stub.host.command import Command, CommandResult
from installer_stub.phases.base import Context
from installer_stub.phases.name_api import NameApi, wait_until_shown
from installer_stub.plan.model import Access, Endpoint
from tests.fakes.certificate import self_signed
from tests.fakes.membership import answers_membership, make_member
from tests.fakes.plans import M1, M2, M3, N1, make_context, make_plan, masters, nodes, scripted_hosts
from tests.fakes.scripted import ScriptedConnection, failed
from tests.fakes.sites import site_record

PLAN = make_plan(*masters(M1, M2, M3), *nodes(N1))
NAMED = replace(PLAN, access=Access(Endpoint("10.0.0.9"), ("api.site",)))
ALWAYS = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "10.96.0.1", "api.airseal.internal", "127.0.0.1")


class Cluster:
    """Masters whose certificates are made anew when they are told to, for the names in kubeadm's configuration."""

    def __init__(self, plan: Any = PLAN, *, pending: bool = True, cut: str = "") -> None:
        self.hosts, self.cut, self.made = scripted_hosts(plan), cut, list[str]()
        self.sans = list(api_certificate.wanted_names(PLAN))
        for host in plan.masters:
            connection = self.hosts[host.address]
            answers_membership(connection.on("").journals())
            make_member(connection)
            connection.files[API_CERTIFICATE] = self_signed(*ALWAYS, host.name, host.address, *self.older(host.address))
            connection.on("get configmap kubeadm-config", self.shown).on("replace -f", self.replaced)
            connection.on("phase certs apiserver", lambda _, host=host, connection=connection: self.make(host, connection))
        record = site_record(plan, pending=tuple(host.name for host in plan.hosts) if pending else ())
        self.context: Context = make_context(plan, self.hosts, record=record)

    def older(self, address: str) -> tuple[str, ...]:
        return ("old.site",) if address == M1 else ()

    def shown(self, _: Command) -> CommandResult:
        cluster = {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration", "apiServer": {"certSANs": self.sans, "extraArgs": ["theirs"]}}
        return CommandResult(0, json.dumps({"metadata": {"resourceVersion": "7"}, "data": {"ClusterConfiguration": yaml.safe_dump(cluster)}}), "")

    def replaced(self, command: Command) -> CommandResult:
        assert isinstance(command.stdin, bytes)
        value = json.loads(command.stdin)
        assert value["metadata"] == {"resourceVersion": "7"}
        server = yaml.safe_load(value["data"]["ClusterConfiguration"])["apiServer"]
        assert server["extraArgs"] == ["theirs"], "what others wrote there stays"
        self.sans = server["certSANs"]
        return CommandResult(0, "", "")

    def make(self, host: Any, connection: ScriptedConnection) -> CommandResult:
        if host.address == self.cut:
            self.cut = ""
            return failed(1, "cut")
        self.made.append(host.address)
        connection.files[API_CERTIFICATE] = self_signed(*ALWAYS, host.name, host.address, *self.sans)
        return CommandResult(0, "", "")


def test_a_site_that_is_as_recorded_is_left_alone() -> None:
    assert not NameApi().is_needed(Cluster(pending=False).context)


def test_every_master_gets_the_new_names_one_after_the_other() -> None:
    cluster = Cluster(NAMED)
    assert NameApi().is_needed(cluster.context)
    NameApi().run(cluster.context)
    assert cluster.made == [M1, M2, M3]
    assert {"10.0.0.9", "api.site"} <= set(cluster.sans)
    assert not NameApi().is_needed(cluster.context)
    asked = [command.text for command in cluster.hosts[M2].commands if "tls-server-name" in command.text]
    assert any("--tls-server-name=api.site" in text for text in asked)


def test_cut_at_any_master_the_next_run_does_what_is_left() -> None:
    for cut in (M1, M2, M3):
        cluster = Cluster(NAMED, cut=cut)
        with pytest.raises(HostError):
            NameApi().run(cluster.context)
        done = list(cluster.made)
        assert NameApi().is_needed(cluster.context)
        NameApi().run(cluster.context)
        assert cluster.made == [M1, M2, M3]
        assert done == [M1, M2, M3][: len(done)]


def test_a_name_that_was_given_up_goes_and_only_in_a_run_that_tells_the_hosts() -> None:
    cluster = Cluster()
    assert NameApi().is_needed(cluster.context)
    NameApi().run(cluster.context)
    assert cluster.made == [M1]
    assert b"old.site" not in cluster.hosts[M1].files[API_CERTIFICATE]
    assert not NameApi().is_needed(cluster.context)


def test_an_api_server_that_does_not_show_it_stops_before_the_next_one() -> None:
    cluster = Cluster(NAMED)
    now = iter(range(100))
    host = PLAN.masters[0]
    connection = cluster.hosts[M1].on("tls-server-name", failed(1, "x509: certificate is valid for m2, not api.site"))
    with pytest.raises(ClusterError, match="does not answer as"):
        wait_until_shown(replace_plan(cluster.context), host, connection, timeout=3, clock=lambda: float(next(now)), sleep=lambda _: None)


def replace_plan(context: Context) -> Context:
    context.plan = NAMED
    return context


def test_a_certificate_that_cannot_be_read_is_named() -> None:
    cluster = Cluster()
    cluster.hosts[M2].files[API_CERTIFICATE] = b"torn"
    with pytest.raises(HostError, match=r"apiserver\.crt is no certificate"):
        NameApi().is_needed(cluster.context)


def test_the_ca_key_that_is_copied_lies_in_memory_and_goes() -> None:
    text = api_certificate.make().text
    assert "trap" in text
    assert "/run/airseal/api-certificate" in text
    settings = api_certificate.config({"kind": "ClusterConfiguration", "apiServer": {"certSANs": ["a"]}}, PLAN.masters[1])
    init, cluster = yaml.safe_load_all(settings)
    assert init["localAPIEndpoint"]["advertiseAddress"] == M2
    assert (cluster["certificatesDir"], cluster["apiServer"]) == ("/run/airseal/api-certificate", {"certSANs": ["a"]})
