"""Findings about what a host has already: certificates that end, proxies, units and configuration of others."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from installer_stub.distro.certificates import (
    AUTHORITIES,
    AUTHORITIES_KEYS,
    LEAVES_KEYS,
    MASTERS_FILES,
    SIGNERS,
)
from installer_stub.distro.containerd import CONFIG
from installer_stub.facts.certificates import Certificate
from installer_stub.facts.keys import Pem
from installer_stub.facts.proxies import Proxies
from installer_stub.facts.runtime_config import RuntimeConfig
from installer_stub.facts.software import Membership
from installer_stub.preflight import certificates, proxies, runtime_config
from installer_stub.preflight.finding import Severity
from tests.unit.installer_stub.preflight.sites import site, with_facts

DAY = 86400.0
OURS = Membership("abc", "shop:1.4.0", joined=True, server="https://api.airseal.internal:6443")


def certificate(ends: float, *, life: float = 3 * 365, authority: bool = False) -> Certificate:
    end = time.time() + ends * DAY
    return Certificate("/etc/kubernetes/pki/apiserver.crt", end - life * DAY, end, authority)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (certificate(700), ""),
        (certificate(59), "ends in 59.0 days"),
        (certificate(-3), "ended 3.0 days ago"),
        (certificate(20, life=30), ""),  # a short life is no fault
        (certificate(5, life=30), "ends in 5.0 days"),
        (certificate(30, life=3650, authority=True), "plan a new cluster"),
        (Certificate("/etc/airseal/registry.crt", 0, 0, problem="no certificate: torn"), "no certificate: torn"),
    ],
)
def test_an_end_that_comes_is_a_warning(found: Certificate, words: str) -> None:
    findings = list(certificates.ends(site(membership=OURS, certificates=(certificate(700), found))))
    assert [each.severity for each in findings] == ([Severity.WARNING] if words else [])
    assert all(words in str(each) for each in findings)
    assert list(certificates.ends(site(certificates=(found,)))) == []  # of a cluster that is not ours


WHOLE = tuple(replace(certificate(700), path=path) for path in MASTERS_FILES)
COMPLETE = replace(OURS, complete=True)


@pytest.mark.parametrize("path", MASTERS_FILES)
def test_a_torn_certificate_of_a_complete_master_forbids_and_names_what_makes_it_anew(path: str) -> None:
    rest = tuple(each for each in WHOLE if each.path != path)
    torn = Certificate(path, 0, 0, problem="no certificate: torn")
    for found in ((*rest, torn), rest):  # an empty file, and one that is gone, are told of by nobody
        (finding,) = certificates.torn(site(membership=COMPLETE, certificates=found))
        assert (finding.severity, path in finding.problem) == (Severity.FATAL, True)
        assert "certs renew" in finding.remedy
    # kubeadm was killed at it, as far as anybody knows: the phases go on from there.
    assert list(certificates.torn(site(membership=OURS, certificates=(*rest, torn)))) == []
    assert list(certificates.ends(site(membership=COMPLETE, certificates=(*rest, torn)))) == []


@pytest.mark.parametrize("path", [*LEAVES_KEYS, "/etc/kubernetes/admin.conf", "/etc/kubernetes/scheduler.conf"])
@pytest.mark.parametrize("state", [Pem.TORN, Pem.GONE])
def test_a_torn_key_forbids_as_its_certificate_does(path: str, state: Pem) -> None:
    """Seen: etcd's peer.key cut in half, and the same command ended with 0, without a word. At its next start etcd would have failed."""
    (finding,) = certificates.torn(site(membership=COMPLETE, certificates=WHOLE, keys={path: state}))
    assert (finding.severity, path in finding.problem, "certs renew" in finding.remedy) == (Severity.FATAL, True, True)
    assert list(certificates.torn(site(membership=COMPLETE, certificates=WHOLE, keys={path: Pem.WHOLE}))) == []


@pytest.mark.parametrize(
    ("path", "forbids"),
    [*((path, {Pem.TORN, Pem.GONE}) for path in (*AUTHORITIES, *SIGNERS)), *((path, {Pem.TORN}) for path in AUTHORITIES_KEYS)],
)
@pytest.mark.parametrize("state", list(Pem))
def test_what_nothing_makes_anew_has_to_come_back(path: str, forbids: set[Pem], state: Pem) -> None:
    found = list(certificates.lost(site(masters=2, membership=COMPLETE, keys={path: state})))
    assert [each.severity for each in found] == ([Severity.FATAL] if state in forbids else [])
    assert all(path in each.problem and "from a backup" in each.remedy for each in found)
    assert list(certificates.lost(site(membership=OURS, keys={path: state}))) == [], "it was killed on its way: the phases go on"
    both = with_facts(site(masters=2, membership=COMPLETE, keys={path: state}), "10.0.0.2", membership=COMPLETE)
    assert all("another master (10.0.0.2)" in each.remedy for each in certificates.lost(both))


@pytest.mark.parametrize("state", list(Pem))
def test_a_node_wants_the_clusters_ca_and_nothing_else_of_a_master(state: Pem) -> None:
    """Seen: a node's ca.crt removed, and not a word of it. kubelet has read it; at its next start it does not start."""
    known = with_facts(site(membership=COMPLETE), "10.0.0.2", membership=COMPLETE, keys={**dict.fromkeys(SIGNERS, Pem.GONE), AUTHORITIES[0]: state})
    found = list(certificates.lost(known))
    assert [each.severity for each in found] == ([] if state is Pem.WHOLE else [Severity.FATAL])
    assert all(AUTHORITIES[0] in each.problem and "from a master (10.0.0.1)" in each.remedy and SIGNERS[0] not in each.problem for each in found)


def test_certificates_that_nobody_could_read_are_not_taken_for_gone() -> None:
    assert list(certificates.torn(site(membership=COMPLETE, certificates=WHOLE))) == []
    assert list(certificates.torn(site(membership=COMPLETE, certificates=()))) == []


def test_a_clock_before_the_beginning_is_a_warning() -> None:
    ours = site(membership=OURS, certificates=(certificate(700),), clock_offset=-3 * 365 * DAY)
    assert [each.problem for each in certificates.clock(ours)] == ["its clock is before the begin of /etc/kubernetes/pki/apiserver.crt"]
    assert list(certificates.clock(site(membership=OURS, certificates=(certificate(700),)))) == []


def test_a_proxy_is_named_and_no_obstacle() -> None:
    (found,) = proxies.proxies(site(proxies=Proxies(("HTTPS_PROXY",), ("/etc/systemd/system.conf.d/p.conf",))))
    assert found.severity is Severity.NOTE
    assert "HTTPS_PROXY (from /etc/systemd/system.conf.d/p.conf)" in found.problem
    assert list(proxies.proxies(site())) == []


def test_dropins_of_an_earlier_life_are_named_and_those_of_a_package_want_a_decision() -> None:
    theirs = ("/etc/systemd/system/containerd.service.d/http-proxy.conf", "/usr/lib/systemd/system/kubelet.service.d/x.conf")
    findings = list(proxies.dropins(site(proxies=Proxies(dropins=(*theirs, "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf")))))
    assert [each.severity for each in findings] == [Severity.NOTE, Severity.WARNING]
    assert "ln -s /dev/null /etc/systemd/system/kubelet.service.d/x.conf" in findings[1].remedy
    assert list(proxies.dropins(site(membership=OURS, proxies=Proxies(dropins=theirs)))) == []


def test_an_edit_of_our_file_is_asked_for_before_it_is_undone() -> None:
    edited = site(runtime_config=RuntimeConfig(edited=True, additions=("/etc/containerd/conf.d/9.toml",)))
    findings = list(runtime_config.runtime_config(edited))
    assert [each.severity for each in findings] == [Severity.FATAL, Severity.NOTE]
    assert f"--take {CONFIG}" in findings[0].remedy
    assert [each.severity for each in runtime_config.runtime_config(replace(edited, take=(CONFIG,)))] == [Severity.NOTE]
    assert list(runtime_config.runtime_config(site())) == []
