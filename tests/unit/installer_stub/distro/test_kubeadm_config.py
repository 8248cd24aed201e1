"""What kubeadm is told, for each way a site can be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from installer_stub.distro import kubeadm_config as config
from installer_stub.distro.base import JoinGrant
from installer_stub.host.command import Secret
from installer_stub.plan.model import Access, Endpoint
from tests.fakes.plans import M1, M2, M3, N1, host_plan, make_plan, masters, nodes

TOKEN, KEY = "abcdef.0123456789abcdef", "5e" * 32
GRANT = JoinGrant(Secret(TOKEN), "sha256:aa", Secret(KEY))


def by_kind(text: str) -> dict[str, dict[str, Any]]:
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def first(*hosts: Any, grant: JoinGrant | None = None) -> dict[str, dict[str, Any]]:
    plan = make_plan(*hosts)
    return by_kind(config.first_master(plan, plan.hosts[0], grant))


def join(*hosts: Any, who: int = -1, grant: JoinGrant = GRANT) -> dict[str, Any]:
    plan = make_plan(*hosts)
    document = by_kind(config.join_configuration(plan, plan.hosts[who], grant))
    return document["JoinConfiguration"]


def test_the_api_is_reached_by_a_name_and_the_certificate_fits_every_way_to_it() -> None:
    cluster = first(*masters(M1, M2, M3), *nodes(N1))["ClusterConfiguration"]
    assert cluster["controlPlaneEndpoint"] == "api.airseal.internal:6443"
    assert {"api.airseal.internal", M1, M2, M3, "127.0.0.1"} <= set(cluster["apiServer"]["certSANs"])
    assert N1 not in cluster["apiServer"]["certSANs"]
    assert cluster["kubernetesVersion"] == "v1.36.3"
    assert cluster["networking"]["podSubnet"] == "10.244.0.0/16"
    assert cluster["networking"]["serviceSubnet"] == "10.96.0.0/16"


def test_the_site_s_own_names_are_in_the_certificate_too() -> None:
    plan = replace(make_plan(*masters(M1)), access=Access(Endpoint("vip.example"), ("10.0.0.9",)))
    cluster = by_kind(config.first_master(plan, plan.hosts[0], None))["ClusterConfiguration"]
    assert {"vip.example", "10.0.0.9", "127.0.0.1"} <= set(cluster["apiServer"]["certSANs"])


def test_no_address_is_left_to_be_guessed_from_a_default_route() -> None:
    init = first(*masters(M1), *nodes(N1))["InitConfiguration"]
    assert init["localAPIEndpoint"]["advertiseAddress"] == M1
    assert init["nodeRegistration"]["kubeletExtraArgs"] == [{"name": "node-ip", "value": M1}]
    node = join(*masters(M1), *nodes(N1))
    assert node["nodeRegistration"]["kubeletExtraArgs"] == [{"name": "node-ip", "value": N1}]
    master = join(*masters(M1, M2))
    assert master["controlPlane"]["localAPIEndpoint"]["advertiseAddress"] == M2


@pytest.mark.parametrize(
    ("hosts", "taints"),
    [(masters(M1), []), (masters(M1, M2, M3), []), ((*masters(M1), *nodes(N1)), None)],
    ids=["one host", "masters only", "with nodes"],
)
def test_masters_work_where_there_are_no_nodes(hosts: Any, taints: list[str] | None) -> None:
    # An empty list means "no taint"; a missing key means kubeadm's own.
    assert first(*hosts)["InitConfiguration"]["nodeRegistration"].get("taints") == taints
    if len(hosts) > 1 and taints == []:
        assert join(*hosts)["nodeRegistration"]["taints"] == []


def test_only_cgroup_v1_hosts_skip_the_verification_that_refuses_it() -> None:
    modern = first(*masters(M1))["InitConfiguration"]["nodeRegistration"]["ignorePreflightErrors"]
    old = first(*masters(M1, cgroup_v1=True))["InitConfiguration"]["nodeRegistration"]["ignorePreflightErrors"]
    assert "SystemVerification" not in modern
    assert "SystemVerification" in old
    assert not any(each == "all" for each in old)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"cgroupDriver": "systemd", "resolvConf": "/etc/resolv.conf"}),
        (
            {"cgroup_v1": True, "cgroup_driver": "cgroupfs"},
            {"cgroupDriver": "cgroupfs", "resolvConf": "/etc/resolv.conf", "failCgroupV1": False},
        ),
        ({"resolv_conf": None}, {"cgroupDriver": "systemd", "resolvConf": "/etc/airseal/resolv.conf"}),
        (
            {"resolv_conf": "/run/systemd/resolve/resolv.conf"},
            {"cgroupDriver": "systemd", "resolvConf": "/run/systemd/resolve/resolv.conf"},
        ),
    ],
)
def test_what_differs_per_host_is_a_patch_of_that_host(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    assert yaml.safe_load(config.kubelet_patch(host_plan(M1, **changes))) == expected


def test_eviction_is_in_absolute_terms_and_swap_and_parallel_pulls_are_allowed() -> None:
    kubelet = first(*masters(M1))["KubeletConfiguration"]
    for place in ("memory.available", "nodefs.available", "imagefs.available"):
        assert not kubelet["evictionHard"][place].endswith("%")
    assert kubelet["failSwapOn"] is False
    assert kubelet["serializeImagePulls"] is False


@pytest.mark.parametrize(
    ("hosts", "fixed"),
    [
        ((*masters(M1), *nodes(N1)), False),
        ((*masters(M1), *nodes(N1, conntrack_fixed=True)), True),
        ((*masters(M1, conntrack_fixed=True), *nodes(N1)), True),
    ],
)
def test_one_host_whose_conntrack_is_fixed_decides_for_kube_proxy_of_all(hosts: Any, *, fixed: bool) -> None:
    proxy = first(*hosts)["KubeProxyConfiguration"]
    assert (proxy.get("conntrack") == {"maxPerCore": 0, "min": 0}) is fixed


def test_without_a_grant_there_is_no_lasting_token_and_no_secret() -> None:
    init = first(*masters(M1))["InitConfiguration"]
    assert init["bootstrapTokens"] == [{"ttl": "1s"}]
    assert "certificateKey" not in init


def test_a_grant_is_short_and_only_masters_get_the_certificate_key() -> None:
    init = first(*masters(M1), grant=GRANT)["InitConfiguration"]
    assert init["bootstrapTokens"][0]["token"] == TOKEN
    assert init["bootstrapTokens"][0]["ttl"] == "15m0s"
    assert init["certificateKey"] == KEY
    assert join(*masters(M1, M2))["controlPlane"]["certificateKey"] == KEY
    assert KEY not in str(join(*masters(M1), *nodes(N1)))


def test_a_joining_host_believes_no_other_authority() -> None:
    discovery = join(*masters(M1), *nodes(N1))["discovery"]["bootstrapToken"]
    assert discovery["caCertHashes"] == ["sha256:aa"]
    assert "unsafeSkipCAVerification" not in discovery
    assert discovery["apiServerEndpoint"] == "api.airseal.internal:6443"


def test_a_master_cannot_join_without_a_certificate_key() -> None:
    with pytest.raises(ValueError, match="certificate key"):
        join(*masters(M1, M2), grant=JoinGrant(Secret(TOKEN), "sha256:aa"))


@pytest.mark.parametrize("name", ["n", "y", "no", "on", "1e3", "0x10", "012", "null", "12:30"])
def test_a_name_that_go_reads_as_a_bool_or_a_number_is_quoted(name: str) -> None:
    text = config.first_master(make_plan(host_plan(M1, name=name)), host_plan(M1, name=name), None)
    assert f'"name": "{name}"' in text
    assert by_kind(text)["InitConfiguration"]["nodeRegistration"]["name"] == name


def test_how_long_certificates_live_is_said_and_never_left_to_kubeadm() -> None:
    cluster = first(*masters(M1))["ClusterConfiguration"]
    assert cluster["certificateValidityPeriod"] == "26280h0m0s"
    assert cluster["caCertificateValidityPeriod"] == "262800h0m0s"
    signing = {each["name"]: each["value"] for each in cluster["controllerManager"]["extraArgs"]}
    assert signing == {"cluster-signing-duration": "26280h0m0s"}


@pytest.mark.parametrize(("seconds", "text"), [(600, "0h10m0s"), (86400, "24h0m0s"), (3661, "1h1m1s")])
def test_durations_are_as_go_reads_them(seconds: int, text: str) -> None:
    assert config.duration(seconds) == text
