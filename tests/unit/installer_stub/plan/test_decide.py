"""From facts to plan: every trap's setting, from the fact that calls for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from installer_stub.host.model import Host, Role
from installer_stub.plan.decide import build_plan, host_plan, node_name, site_registry
from installer_stub.plan.model import ImageSource
from tests.unit.installer_stub.facts.recordings import facts
from tests.unit.installer_stub.preflight.sites import BUNDLE, site


@dataclass(frozen=True)
class Options:
    hosts: tuple[Host, ...]
    pod_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/12"


MASTER = Host("10.0.0.1", Role.MASTER)


@pytest.mark.parametrize(
    ("name", "field", "expected"),
    [
        ("debian-12-blank-host", "cgroup_driver", "cgroupfs"),
        ("debian-12-blank-host", "cgroup_v1", True),
        ("debian-12-blank-host", "restrict_oom_score", True),
        ("debian-12-blank-host", "conntrack_fixed", True),
        ("debian-12-blank-host", "resolv_conf", None),
        ("debian-12-blank-host", "swap", False),
        ("debian-12-no-init", "cgroup_driver", "cgroupfs"),
        ("rhel-9", "cgroup_driver", "systemd"),
        ("rhel-9", "cgroup_v1", False),
        ("rhel-9", "restrict_oom_score", False),
        ("rhel-9", "conntrack_fixed", False),
        ("rhel-9", "resolv_conf", "/etc/resolv.conf"),
        ("rhel-9", "default_route", True),
        ("rhel-9", "swap", True),
        ("rhel-9", "name", "site-a-01.plant.example"),
        ("ubuntu-22.04", "resolv_conf", "/run/systemd/resolve/resolv.conf"),
        ("ubuntu-22.04", "default_route", False),
    ],
)
def test_settings_of_recorded_hosts(name: str, field: str, expected: object) -> None:
    assert getattr(host_plan(MASTER, facts(name)), field) == expected


def test_a_whole_plan() -> None:
    base = site(3, 2)
    plan = build_plan(Options(base.hosts), base.facts, BUNDLE)
    assert [host.address for host in plan.hosts] == [f"10.0.0.{n}" for n in range(1, 6)]
    assert [host.name for host in plan.masters] == ["host1", "host2", "host3"]
    assert [host.role for host in plan.nodes] == [Role.NODE, Role.NODE]
    assert plan.images.endpoints == ("https://10.0.0.1:5443", "https://10.0.0.2:5443", "https://10.0.0.3:5443")
    assert (plan.images.ca_path, plan.images.credential_path) == ("/etc/airseal/ca.crt", "/etc/airseal/registry.credential")
    assert (plan.pod_cidr, plan.service_cidr, plan.recording) == ("10.244.0.0/16", "10.96.0.0/12", False)
    assert plan.dns_forwarding


def test_the_same_input_gives_the_same_plan() -> None:
    base = site(3, 2)
    assert build_plan(Options(base.hosts), base.facts, BUNDLE) == build_plan(Options(base.hosts), base.facts, BUNDLE)


def test_one_host_without_a_nameserver_stops_all_forwarding() -> None:
    base = site(1, 2)
    known = {**base.facts, "10.0.0.3": replace(base.facts["10.0.0.3"], resolv_confs=())}
    assert not build_plan(Options(base.hosts), known, BUNDLE).dns_forwarding


def test_a_recording_has_its_own_image_source() -> None:
    base, proxy = site(1, 0), ImageSource(("http://172.18.0.1:5000",))
    plan = build_plan(Options(base.hosts), base.facts, BUNDLE, recording=True, images=proxy)
    assert (plan.recording, plan.images) == (True, proxy)


def test_ipv6_addresses_in_urls() -> None:
    assert site_registry((Host("2001:db8::11", Role.MASTER),)).endpoints == ("https://[2001:db8::11]:5443",)


@pytest.mark.parametrize(("hostname", "name"), [("Node-1", "node-1"), ("a.b.C\n", "a.b.c")])
def test_node_names(hostname: str, name: str) -> None:
    assert node_name(hostname) == name
