"""Every host turns to its own way to the API, and keeps the old one until the new one has answered."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from installer_stub.bundle.model import BALANCER_LABEL
from installer_stub.distro import balancer
from installer_stub.distro.api_servers import KUBELET, MASTER_FILES
from installer_stub.errors import ClusterError, HostError
from installer_stub.host.command import Command, CommandResult
from installer_stub.phases.balance import Balance, wait_for_server
from installer_stub.phases.base import Context
from installer_stub.phases.cluster_access import kubectl
from installer_stub.phases.point_proxy import POINTS_AT, PointProxy, require_endpoint
from installer_stub.plan.model import Access, Endpoint, Plan
from tests.fakes.membership import answers_membership, make_member
from tests.fakes.plans import M1, M2, N1, make_context, make_plan, masters, nodes, scripted_hosts
from tests.fakes.scripted import ScriptedConnection, failed

BALANCED = make_plan(*masters(M1, M2), *nodes(N1), labels={BALANCER_LABEL: "docker.io/library/haproxy:3.0.11"})
BARE = make_plan(*masters(M1, M2), *nodes(N1))
AT_ENDPOINT = replace(BALANCED, access=Access(Endpoint("10.0.0.9", 8443)))
NAME = "https://api.airseal.internal:6443"
LOCAL = "https://127.0.0.1:6443"


def cluster(plan: Plan) -> dict[str, ScriptedConnection]:
    """A cluster as kubeadm leaves it; servers of kubeconfigs turn when they are told to."""
    hosts = scripted_hosts(plan)
    for address, host in hosts.items():
        answers_membership(host.on("").journals())
        make_member(host)
        own = f"https://{address}:6443"
        servers = {KUBELET: NAME} if address == N1 else {MASTER_FILES[0]: NAME, KUBELET: own}

        def read(command: Command, servers: dict[str, str] = servers) -> CommandResult:
            return CommandResult(0, "".join(f"{file} {server}\n" for file, server in servers.items() if file in command.text), "")

        def turn(command: Command, servers: dict[str, str] = servers) -> CommandResult:
            words = command.text.split()
            at = next(place for place, word in enumerate(words) if word == "sh" and words[place + 1].startswith("https://"))
            servers.update(dict.fromkeys(words[at + 2 :], words[at + 1]))
            return CommandResult(0, "", "")

        host.on('"\\$key" != server:', read).on("edit\\(\\)", turn)
    return hosts


def texts(host: ScriptedConnection) -> list[str]:
    return [command.text for command in host.commands]


@pytest.mark.parametrize(("plan", "server"), [(BALANCED, LOCAL), (AT_ENDPOINT, "https://10.0.0.9:8443")])
def test_a_node_turns_once_the_new_way_has_answered(plan: Plan, server: str) -> None:
    hosts = cluster(plan)
    context = make_context(plan, hosts)
    assert Balance().is_needed(context)
    hosts[N1].on("get --raw=/readyz", failed(1, "connection refused"), failed(1, "connection refused"), "ok")
    Balance().run(context)
    order = [next(place for place, text in enumerate(texts(hosts[N1])) if part in text) for part in ("trial.conf", "stop kubelet", "edit()", "start kubelet")]
    assert order == sorted(order)
    assert len(hosts[N1].ran("trial.conf")) == 3
    assert hosts[N1].ran(f"edit.*{server} {KUBELET}")
    assert not Balance().is_needed(context)


def test_the_balancer_lies_there_before_it_is_waited_for() -> None:
    hosts = cluster(BALANCED)
    Balance().run(make_context(BALANCED, hosts))
    assert hosts[N1].files[balancer.CONFIG] == balancer.config(BALANCED, BALANCED.nodes[0]).encode()
    assert hosts[N1].files[balancer.MANIFEST] == balancer.manifest(BALANCED, BALANCED.nodes[0]).encode()
    assert "put /etc/kubernetes/manifests/airseal-balancer.yaml" in texts(hosts[N1])
    assert not any(balancer.MANIFEST in host.files for address, host in hosts.items() if address != N1)


def test_a_node_whose_new_way_never_answers_keeps_the_old_one() -> None:
    hosts = cluster(BALANCED)
    hosts[N1].on("trial.conf", failed(1, "connection refused"))
    now = iter(range(1000))
    with pytest.raises(HostError, match="kubelet was left as it was: connection refused"):
        wait_for_server(hosts[N1], LOCAL, timeout=5, clock=lambda: float(next(now)), sleep=lambda _: None)
    assert not hosts[N1].ran("edit|stop kubelet")


def test_masters_turn_to_themselves_and_what_is_theirs_already_stays() -> None:
    hosts = cluster(BALANCED)
    Balance().run(make_context(BALANCED, hosts))
    for address in (M1, M2):
        (turned,) = hosts[address].ran("edit\\(\\)")
        assert f"{LOCAL} {MASTER_FILES[0]}" in turned.text
        assert KUBELET not in turned.text
        assert not hosts[address].ran("stop kubelet")


def test_a_kubelet_that_was_stopped_for_the_change_and_never_started_is_seen() -> None:
    hosts = cluster(BALANCED)
    context = make_context(BALANCED, hosts)
    Balance().run(context)
    hosts[N1].on("is-active", failed(3))
    assert Balance().is_needed(context)
    hosts[N1].commands.clear()
    Balance().run(context)
    assert hosts[N1].changes == ["start kubelet"]


def test_with_an_endpoint_of_the_site_no_balancer_stays() -> None:
    hosts = cluster(AT_ENDPOINT)
    hosts[N1].files[balancer.MANIFEST] = b"an earlier one"
    hosts[N1].on("rm -f .*airseal-balancer", lambda _: CommandResult(0, hosts[N1].files.pop(balancer.MANIFEST, b"").decode(), ""))
    Balance().run(make_context(AT_ENDPOINT, hosts))
    assert balancer.MANIFEST not in hosts[N1].files
    assert balancer.CONFIG not in hosts[N1].files
    changes = hosts[N1].changes
    assert changes.index("start kubelet") < changes.index(f"remove {balancer.MANIFEST}"), "it was kubelet's way until it turned"


def test_a_bundle_without_a_balancer_says_what_hangs_on_one_master() -> None:
    hosts = cluster(BARE)
    context = make_context(BARE, hosts)
    Balance().run(context)
    assert any("no load balancer" in note and M1 in note for note in context.notes)
    assert not hosts[N1].ran("edit\\(\\)")
    assert not Balance().is_needed(context)


def test_more_masters_are_another_file_on_every_node() -> None:
    hosts = cluster(BALANCED)
    Balance().run(make_context(BALANCED, hosts))
    grown = make_plan(*masters(M1, M2, "10.0.0.4"), *nodes(N1), labels=BALANCED.bundle.labels)
    known = {address: host for address, host in hosts.items() if address == N1}
    context = make_context(grown, known)
    assert Balance().is_needed(context)
    Balance().run(context)
    assert b"10.0.0.4:6443" in hosts[N1].files[balancer.CONFIG]
    assert not Balance().is_needed(context)


PROXY = "clusters:\n- cluster:\n    server: https://api.airseal.internal:6443\n  name: default\n"
TURNED = PROXY.replace("api.airseal.internal", "127.0.0.1")


class TestPointProxy:
    def context(self, plan: Plan, data: dict[str, Any] | None, noted: str = "") -> tuple[Context, dict[str, ScriptedConnection]]:
        hosts = cluster(plan)
        config = "" if data is None else json.dumps({"kind": "ConfigMap", "metadata": {"name": "kube-proxy"}, "data": data})
        pods = {"metadata": {"annotations": {POINTS_AT: noted}} if noted else {}}
        hosts[M1].on("configmap kube-proxy", config).on("daemonset kube-proxy", json.dumps({"spec": {"template": pods}}))
        return make_context(plan, hosts), hosts

    def test_it_turns_to_the_own_host_and_starts_anew(self) -> None:
        context, hosts = self.context(BALANCED, {"config.conf": "mode: iptables", "kubeconfig.conf": PROXY})
        assert PointProxy().is_needed(context)
        PointProxy().run(context)
        (replaced,) = hosts[M1].ran("kubectl.* replace")
        assert isinstance(replaced.stdin, bytes)
        data = json.loads(replaced.stdin)["data"]
        assert data == {"config.conf": "mode: iptables", "kubeconfig.conf": PROXY.replace("api.airseal.internal", "127.0.0.1")}
        (patched,) = hosts[M1].ran("patch daemonset kube-proxy")
        assert f'"{POINTS_AT}": "{LOCAL}"' in patched.text

    def test_killed_between_the_file_and_the_pods_it_still_starts_them_anew(self) -> None:
        """So it is where the API wrote the file and could not say so."""
        context, hosts = self.context(BALANCED, {"kubeconfig.conf": TURNED})
        assert PointProxy().is_needed(context)
        PointProxy().run(context)
        assert not hosts[M1].ran("kubectl.* replace")
        assert hosts[M1].ran("patch daemonset kube-proxy")

    def test_back_from_an_endpoint_it_starts_anew(self) -> None:
        context, hosts = self.context(BARE, {"kubeconfig.conf": PROXY}, "https://10.0.0.9:8443")
        assert PointProxy().is_needed(context)
        PointProxy().run(context)
        assert f'"{POINTS_AT}": "{NAME}"' in hosts[M1].ran("patch daemonset kube-proxy")[0].text

    @pytest.mark.parametrize(
        ("plan", "data", "noted"),
        [
            (BALANCED, None, ""),
            (BALANCED, {}, ""),
            (BALANCED, {"kubeconfig.conf": TURNED}, LOCAL),
            (BARE, {"kubeconfig.conf": PROXY}, ""),  # as kubeadm made it
        ],
    )
    def test_nothing_to_turn_is_nothing_to_do(self, plan: Plan, data: dict[str, Any] | None, noted: str) -> None:
        context, _ = self.context(plan, data, noted)
        assert not PointProxy().is_needed(context)

    def test_what_somebody_turned_is_turned_back_and_read(self) -> None:
        context, hosts = self.context(BALANCED, {"kubeconfig.conf": PROXY}, LOCAL)
        assert PointProxy().is_needed(context)
        PointProxy().run(context)
        assert hosts[M1].ran("kubectl.* replace")
        assert hosts[M1].ran("rollout restart daemonset/kube-proxy")

    def test_an_endpoint_that_leads_elsewhere_stops_before_anything_turns(self) -> None:
        context, hosts = self.context(AT_ENDPOINT, {"kubeconfig.conf": PROXY})
        hosts[M1].on("--server=https://10.0.0.9:8443", failed(1, "x509: certificate signed by unknown authority"))
        now = iter(range(100))
        with pytest.raises(ClusterError, match="unknown authority"):
            require_endpoint(kubectl(context), Endpoint("10.0.0.9", 8443), timeout=3, clock=lambda: float(next(now)), sleep=lambda _: None)
        assert not hosts[M1].ran("replace")
