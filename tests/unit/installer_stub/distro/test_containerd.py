"""Where images come from, and that there is nowhere else."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from installer_stub.distro.containerd import config_toml, hosts_toml, rotated
from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.host.command import Secret
from installer_stub.plan.model import ImageSource
from tests.fakes.plans import M1, M2, M3, N1, host_plan, make_plan, masters, nodes

A, B, C = (f"https://{address}:5443" for address in (M1, M2, M3))
CA = "/etc/airseal/ca.crt"


def test_every_master_is_listed_in_order_and_the_last_resort_is_one_of_them() -> None:
    value = tomllib.loads(hosts_toml((B, C, A), ca_path=CA))
    assert list(value["host"]) == [B, C, A]
    # Without "server" containerd falls through to the registry in the image's name: the internet.
    assert value["server"] == B
    for place in (value, *value["host"].values()):
        assert place["ca"] == CA
        assert place["capabilities"] == ["pull", "resolve"]


def test_a_cleartext_recorder_gets_no_ca_which_would_make_containerd_try_https() -> None:
    value = tomllib.loads(hosts_toml(("http://172.18.0.1:5001",), ca_path=""))
    assert value["server"] == "http://172.18.0.1:5001"
    assert "ca" not in value
    assert "ca" not in value["host"]["http://172.18.0.1:5001"]
    assert "skip_verify" not in str(value)


def test_every_place_is_asked_with_the_login_and_without_one_there_is_no_header() -> None:
    value = tomllib.loads(hosts_toml((A, B), ca_path=CA, authorization=Secret("Basic YTpiKy89")))
    # A string or a list of them: containerd, core/remotes/docker/config/hosts.go, parseHostConfig; 1.7 and 2.3 alike.
    assert [place["header"] for place in (value, *value["host"].values())] == [{"Authorization": "Basic YTpiKy89"}] * 3
    assert list(value["host"]) == [A, B]
    assert "header" not in hosts_toml((A, B), ca_path=CA)


def test_the_file_with_the_login_is_roots_alone_and_printing_it_shows_no_login() -> None:
    plan = make_plan(*masters(M1))
    for authorization, mode in ((None, 0o644), (Secret("Basic YTpiKy89"), 0o600)):
        files = KUBEADM.host_files(plan, plan.hosts[0], pause="pause", authorization=authorization)
        (hosts,) = (file for file in files if file.path.endswith("hosts.toml"))
        assert hosts.mode == mode
        assert ("YTpiKy89" in hosts.text) is (authorization is not None)
        assert "YTpiKy89" not in repr(files)
        assert {file.mode for file in files if file is not hosts} == {0o644}


@pytest.mark.parametrize(("by", "expected"), [(0, (A, B, C)), (1, (B, C, A)), (2, (C, A, B)), (3, (A, B, C)), (7, (B, C, A))])
def test_hosts_begin_with_different_masters(by: int, expected: tuple[str, ...]) -> None:
    assert rotated((A, B, C), by) == expected


def test_nothing_is_rotated_out_of_nothing() -> None:
    assert rotated((), 3) == ()


def runtime(**changes: Any) -> dict[str, Any]:
    plugins: dict[str, Any] = tomllib.loads(config_toml(host_plan(M1, **changes), pause="registry.k8s.io/pause:3.10.2"))["plugins"]
    return plugins


@pytest.mark.parametrize(("driver", "systemd"), [("systemd", True), ("cgroupfs", False)])
def test_containers_are_grouped_the_way_kubelet_does(driver: str, *, systemd: bool) -> None:
    runc = runtime(cgroup_driver=driver)["io.containerd.cri.v1.runtime"]["containerd"]["runtimes"]["runc"]
    assert runc["options"]["SystemdCgroup"] is systemd


@pytest.mark.parametrize("lacking", [True, False])
def test_oom_scores_are_left_alone_only_where_they_cannot_be_lowered(*, lacking: bool) -> None:
    assert runtime(restrict_oom_score=lacking)["io.containerd.cri.v1.runtime"].get("restrict_oom_score_adj", False) is lacking


def test_the_pause_image_is_pinned_and_mirrors_are_looked_up() -> None:
    images = runtime()["io.containerd.cri.v1.images"]
    assert images["pinned_images"]["sandbox"] == "registry.k8s.io/pause:3.10.2"
    assert images["registry"]["config_path"] == "/etc/containerd/certs.d"


def test_each_host_has_its_own_order_of_masters() -> None:
    plan = make_plan(*masters(M1, M2), *nodes(N1))
    firsts = []
    for host in plan.hosts:
        files = {file.path: file.text for file in KUBEADM.host_files(plan, host, pause="pause")}
        firsts.append(tomllib.loads(files["/etc/containerd/certs.d/_default/hosts.toml"])["server"])
    assert firsts == [A, B, A]


def test_a_host_without_a_nameserver_gets_an_empty_resolv_conf_and_others_none() -> None:
    plan = make_plan(*masters(M1, resolv_conf=None), *nodes(N1), images=ImageSource(("http://x:1",)))
    paths = [{file.path for file in KUBEADM.host_files(plan, host, pause="pause")} for host in plan.hosts]
    assert "/etc/airseal/resolv.conf" in paths[0]
    assert "/etc/airseal/resolv.conf" not in paths[1]


def test_a_master_that_is_off_is_not_waited_for_at_every_request() -> None:
    value = tomllib.loads(hosts_toml((A, B), ca_path=CA))
    assert {place["dial_timeout"] for place in (value, *value["host"].values())} == {"2s"}
    assert "dial_timeout" not in hosts_toml((A,), ca_path=CA)
