"""What is said of a site: any one that is off, late or missing is a problem with a name, and the rest is still told."""

from __future__ import annotations

import json

import pytest

from installer_stub.kube.etcd import EtcdMember
from installer_stub.scrub.damage import Damage
from installer_stub.site.status import (
    HostStatus,
    OperatorAccess,
    SiteStatus,
    status_fields,
    status_text,
    strangers,
)
from installer_stub.verbs.show_status import parse_host
from tests.fakes.sites import master, node, record

DAY = 86400.0
NOW = 1_800_000_000.0
UNITS = (("containerd.service", "active"), ("kubelet.service", "active"))


def certificates(*lives: tuple[float, float]) -> str:
    return json.dumps([{"path": "x", "begins": NOW + begin * DAY, "ends": NOW + end * DAY, "authority": False, "problem": ""} for begin, end in lives])


def test_a_hosts_answer() -> None:
    lease = json.dumps({"run": "r", "who": "ann@laptop", "verb": "install", "since": 1, "heard": 1, "pid": 42})
    answer = parse_host(f"unit kubelet.service active\nunit x.timer \ncertificates {certificates((-10, 355), (-10, 90))}\nlease {lease}\npid 1\npid 42\n", NOW)
    assert answer.units == (("kubelet.service", "active"), ("x.timer", ""))
    assert (answer.days, answer.overdue, answer.lease) == (90, False, "ann@laptop (install)")
    dead = parse_host(f"lease {lease}\npid 1\n", NOW)
    assert dead.lease == ""


@pytest.mark.parametrize("text", ["", "certificates \n", "certificates nonsense", "certificates [{}]", "lease {", "lease []", "certificates 1"])
def test_an_answer_that_is_none_is_nothing(text: str) -> None:
    answer = parse_host(text, NOW)
    assert (answer.days, answer.overdue, answer.lease) == (None, False, "")


@pytest.mark.parametrize(("life", "days", "overdue"), [((-900, 195), 195, False), ((-1000, 95), 95, True), ((-400, -1), -1, True), ((-0.006, 0.001), 0, False)])
def test_a_certificate_is_late_by_its_own_measure(life: tuple[float, float], days: int, *, overdue: bool) -> None:
    answer = parse_host(f"certificates {certificates(life)}", NOW)
    assert (answer.days, answer.overdue) == (days, overdue)


def well(number: int) -> EtcdMember:
    return EtcdMember(str(number), f"m{number}", (f"https://10.0.0.{number}:2380",), False, True)


def site(**changes: object) -> SiteStatus:
    known = record(master(2), node(5))
    hosts = tuple(HostStatus(host, ready=True, version="v1.36.3", units=UNITS, days=500) for host in known.site.hosts)
    values: dict[str, object] = {"record": known, "hosts": hosts, "etcd": (well(2),), "api": "10.0.0.2"}
    return SiteStatus(**{**values, **changes})  # type: ignore[arg-type]


def test_a_healthy_site() -> None:
    status = site()
    assert status.healthy
    assert status_text(status).endswith("healthy")
    assert status_fields(status)["healthy"] is True
    assert json.loads(json.dumps(status_fields(status)))["hosts"][1]["certificateDays"] == 500


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"unheard": "refused", "etcd": ()}, "the cluster does not answer: refused"),
        ({"etcd": (EtcdMember("1", "m2", (), False, False),)}, "etcd member m2 is not well"),
        ({"etcd": (well(2), well(3))}, "etcd has 2 members, and the site 1 masters"),
        ({"strangers": ("x",)}, "node x is in the cluster and not in the record"),
        ({"hosts": (HostStatus(node(5), silent="no connection"),)}, "n5: does not answer: no connection"),
        ({"hosts": (HostStatus(node(5), ready=False),)}, "n5: its node is not ready, or not in the cluster"),
        ({"hosts": (HostStatus(node(5), units=(("kubelet.service", "failed"),)),)}, "n5: kubelet.service is failed"),
        ({"hosts": (HostStatus(node(5), units=(("kubelet.service", ""),)),)}, "n5: kubelet.service is unknown"),
        ({"hosts": (HostStatus(node(5), damage=("shop-1.run: 2 of its 9 parts are gone",)),)}, "n5: damaged on its disk: shop-1.run: 2 of its 9 parts are gone; run install again with the same file, and it is copied again; one of an earlier version may be removed"),
        ({"hosts": (HostStatus(node(5), days=-3, overdue=True),)}, "n5: a certificate ended 3 days ago"),
        ({"access": OperatorAccess("kubeconfig", 30, overdue=True)}, "kubeconfig ends in 30 days: certs kubeconfig, with --master, makes another one"),
    ],
)
def test_every_kind_of_problem_has_a_name(changes: dict[str, object], problem: str) -> None:
    status = site(**changes)
    assert not status.healthy
    assert problem in status.problems
    assert f"  - {problem}" in status_text(status)
    assert problem in status_fields(status)["problems"]  # type: ignore[operator]


def test_the_operators_own_access_is_told_and_no_problem_while_it_lasts() -> None:
    status = site(access=OperatorAccess("./site.conf", 1000, overdue=False))
    assert status.healthy
    assert "kubeconfig ./site.conf: 1000 days" in status_text(status)
    assert status_fields(status)["kubeconfig"] == {"path": "./site.conf", "days": 1000}
    assert status_fields(site())["kubeconfig"] is None


def test_what_a_host_found_damaged_is_said_of_that_very_file() -> None:
    record = Damage("7 5.000000000 9", 9, ("airseal/stub.pkg",)).encode().decode().replace("\n", "")
    said = parse_host(f"damage shop-1.run.damage 7 5.000000000 9 {record}\ndamage old-1.run.damage 8 5.000000000 9 {record}\ndamage torn-1.run.damage 0 0 0 {record[:50]}\ndamage \n", 0.0)
    assert said.damage[0].startswith("shop-1.run: 1 of its 9 parts")
    assert said.damage[1] == "torn-1.run: what is damaged in it cannot be read any more"
    assert not any(each.startswith("old-1.run") for each in said.damage), "another file has its place"


def test_nodes_that_nobody_recorded() -> None:
    assert strangers(record(master(2), node(5)), ["m2", "n5", "n6"]) == ("n6",)
