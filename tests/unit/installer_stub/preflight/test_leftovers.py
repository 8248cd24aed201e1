"""Data and names of others, as findings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from installer_stub.facts.cluster import ClusterFacts, parse_nodes
from installer_stub.facts.leftovers import Leftover
from installer_stub.facts.software import Membership
from installer_stub.preflight.checks import check_all
from installer_stub.preflight.finding import Finding, Severity
from installer_stub.preflight.leftovers import leftovers, names
from tests.fakes.membership import node
from tests.unit.installer_stub.preflight.sites import site, with_facts

PKI = Leftover("/etc/kubernetes", 3 * 2**20, 1_700_000_000, mount_point=False)
ETCD = Leftover("/var/lib/etcd", 64 * 2**20, 1_700_000_000, mount_point=True)


def test_data_of_others_forbids_the_installation_and_says_how_much_and_how_old() -> None:
    (found,) = leftovers(site(leftovers=(PKI,)))
    assert found.severity is Severity.FATAL
    assert "/etc/kubernetes holds 3" in found.problem
    assert "2023-11-14" in found.problem
    assert "--take /etc/kubernetes" in found.remedy


def test_what_the_operator_lets_us_take_is_told_and_goes_on() -> None:
    (found,) = leftovers(replace(site(leftovers=(PKI,)), take=("/etc/kubernetes",)))
    assert found.severity is Severity.NOTE
    assert "/etc/kubernetes.before-airseal" in found.problem


def test_a_file_system_of_its_own_cannot_be_renamed() -> None:
    (found,) = leftovers(replace(site(leftovers=(ETCD,)), take=("/var/lib/etcd",)))
    assert found.severity is Severity.FATAL
    assert "--take" not in found.remedy


@pytest.mark.parametrize(
    "membership",
    [Membership("c", "shop:1.4.0", joined=True, server=""), Membership("c", "shop:1.4.0", joined=False, server=""), Membership("", "", joined=True, server="")],
)
def test_a_host_of_ours_has_ours_and_a_foreign_cluster_is_another_finding(membership: Membership) -> None:
    assert list(leftovers(site(leftovers=(PKI,), membership=membership))) == []


def test_the_checks_ask_for_both() -> None:
    assert any("/etc/kubernetes holds" in found.problem for found in check_all(site(leftovers=(PKI,))))


def taken(*, address: str = "10.0.0.77", ready: bool = True, machine: str = "another") -> list[Finding]:
    base = site(masters=1, nodes=1)
    base = with_facts(base, "10.0.0.2", hostname="N1")
    return list(names(replace(base, cluster=ClusterFacts(parse_nodes([node("n1", address, ready=ready, machine=machine)])))))


def test_the_name_of_a_live_node_is_found_before_anything_changes() -> None:
    (found,) = taken()
    assert found.severity is Severity.FATAL
    assert found.host == "10.0.0.2"
    assert "live node at 10.0.0.77" in found.problem


def test_a_clone_has_the_machine_id_too_and_is_refused_while_the_other_lives() -> None:
    assert taken(machine=f"{2:032x}")
    assert not taken(machine=f"{2:032x}", ready=False)


def test_its_own_name_is_its_own() -> None:
    assert not taken(address="10.0.0.2")
    assert not list(names(site()))
