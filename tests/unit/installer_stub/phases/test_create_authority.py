"""One CA for the registries: trusted before it is shown, held by every master, and never made a second time."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from installer_stub.errors import HostError, InstallerError
from installer_stub.hostside.keys import pem
from installer_stub.phases.base import Context
from installer_stub.phases.create_authority import CreateAuthority
from installer_stub.phases.registry_authority import CERTIFICATE, KEY, NAMES
from installer_stub.pki.leaf import Leaf
from installer_stub.plan.model import REGISTRY_CA, REGISTRY_CERTIFICATE, REGISTRY_KEY, Plan
from tests.fakes.certificate import self_signed
from tests.fakes.plans import M1, M2, M3, N1, make_context, make_plan, masters, nodes
from tests.fakes.registry_hosts import CLUSTER_KEY, SECOND_KEY, RegistryHost, registry_hosts
from tests.fakes.scripted import ScriptedConnection, failed

CLUSTERS = b"-----BEGIN PRIVATE KEY-----\ncluster\n-----END PRIVATE KEY-----\n"
PLAN = make_plan(*masters(M1, M2), *nodes(N1))
Hosts = dict[str, ScriptedConnection]


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    return registry_hosts(PLAN, tmp_path)


def run(hosts: Hosts, plan: Plan = PLAN) -> Context:
    context = make_context(plan, {host.address: hosts[host.address] for host in plan.hosts})
    if CreateAuthority().is_needed(context):
        CreateAuthority().run(context)
    assert not CreateAuthority().is_needed(context)
    return context


def leaf(host: ScriptedConnection) -> Leaf:
    return Leaf.parse(host.files[REGISTRY_CERTIFICATE])


def test_every_host_trusts_one_ca_and_every_master_has_it_and_a_certificate_for_itself(hosts: Hosts) -> None:
    run(hosts)
    (authority,) = {host.files[REGISTRY_CA] for host in hosts.values()}
    for address in (M1, M2):
        assert hosts[address].files[CERTIFICATE] == authority
        assert leaf(hosts[address]).is_signed_by(x509.load_pem_x509_certificate(authority))
        assert set(leaf(hosts[address]).addresses) == {address, "127.0.0.1"}
        assert leaf(hosts[address]).names == NAMES
    assert len({hosts[address].files[KEY] for address in (M1, M2)}) == 1
    assert len({hosts[address].files[REGISTRY_KEY] for address in (M1, M2)}) == 2
    assert set(hosts[N1].files) == {REGISTRY_CA}


def test_a_second_run_does_nothing(hosts: Hosts) -> None:
    run(hosts)
    before = {address: list(host.changes) for address, host in hosts.items()}
    run(hosts)
    assert {address: host.changes for address, host in hosts.items()} == before


def test_the_cas_key_travels_through_stdin_alone_for_root_alone_and_is_masked_in_logs(hosts: Hosts) -> None:
    context = run(hosts)
    assert hosts[M2].modes[KEY] == 0o600
    key = hosts[M1].files[KEY].decode()
    assert key in {secret.reveal() for secret in context.secrets}
    for line in key.splitlines()[1:-1]:
        assert not any(line in host.seen() for host in hosts.values())
    assert not any(name == REGISTRY_KEY for host in hosts.values() for name in host.modes), "it never travels"


def test_a_run_that_was_killed_anywhere_ends_the_same_with_the_same_ca(hosts: Hosts) -> None:
    class KilledError(Exception):
        pass

    def kill(command: object) -> None:
        del command
        raise KilledError

    steps = (
        (M1, "airseal host issue-registry"),  # the CA is made, trusted and shared
        (M2, "airseal host issue-registry"),
        (M2, "chmod 0700"),  # trusted, not shared
    )
    run(hosts)
    authority = hosts[M1].files[CERTIFICATE]
    for address, step in steps:
        for each in (M1, M2):
            hosts[each].files.pop(REGISTRY_CERTIFICATE)
        hosts[M2].files.pop(CERTIFICATE)
        hosts[address].on(step, kill)  # type: ignore[arg-type]
        context = make_context(PLAN, hosts)
        assert CreateAuthority().is_needed(context)
        with pytest.raises(KilledError):
            CreateAuthority().run(context)
        hosts[address].rules.pop()
        run(hosts)
        assert {host.files[REGISTRY_CA] for host in hosts.values()} == {authority}


def test_a_master_that_is_added_gets_the_ca_and_nothing_happens_on_the_others(tmp_path: Path) -> None:
    grown = make_plan(*masters(M1, M2, M3), *nodes(N1))
    hosts = registry_hosts(grown, tmp_path)
    run(hosts)
    authority = hosts[M1].files[CERTIFICATE]
    for path in list(hosts[M3].files):
        del hosts[M3].files[path]
    before = {address: list(hosts[address].changes) for address in (M1, M2, N1)}
    run(hosts, make_plan(*masters(M3, M1, M2), *nodes(N1)))  # whatever the order: M3 makes none of its own
    assert hosts[M3].files[CERTIFICATE] == authority
    assert {address: hosts[address].changes for address in (M1, M2, N1)} == before


def test_any_master_that_has_the_key_will_do(hosts: Hosts) -> None:
    run(hosts)
    authority = hosts[M1].files[CERTIFICATE]
    for path in list(hosts[M1].files):
        del hosts[M1].files[path]
    run(hosts)
    assert hosts[M1].files[CERTIFICATE] == hosts[M2].files[CERTIFICATE] == authority


@pytest.mark.parametrize("gone", [(KEY,), (KEY, CERTIFICATE)])
def test_a_ca_whose_key_is_gone_is_an_error_and_never_another_ca(hosts: Hosts, gone: tuple[str, ...]) -> None:
    run(hosts)
    for address in (M1, M2):
        for path in gone:
            del hosts[address].files[path]
    before = {address: (dict(host.files), list(host.changes)) for address, host in hosts.items()}
    context = make_context(PLAN, hosts)
    for act in (CreateAuthority().is_needed, CreateAuthority().run):
        with pytest.raises(InstallerError, match="its key is on none of the masters that were named") as caught:
            act(context)
        assert "--master" in caught.value.remedy
        assert N1 in caught.value.problem
    assert {address: (host.files, host.changes) for address, host in hosts.items()} == before


@pytest.mark.parametrize("left", [0, 0.5])
def test_a_cas_key_that_is_torn_is_no_key(hosts: Hosts, left: float) -> None:
    """On one of two masters the other one's takes its place; on all of them it is said, and no other CA is made."""
    run(hosts)
    whole = hosts[M1].files[KEY]
    torn = whole[: int(len(whole) * left)]
    for address in (M1, M2):
        hosts[address].files[KEY] = torn
        run(hosts)
        assert {hosts[each].files[KEY] for each in (M1, M2)} == {whole}
    for address in (M1, M2):
        hosts[address].files[KEY] = torn
    with pytest.raises(HostError, match="or torn there"):
        CreateAuthority().is_needed(make_context(PLAN, hosts))
    assert {hosts[each].files[KEY] for each in (M1, M2)} == {torn}


@pytest.mark.parametrize("left", [0, 0.5])
def test_a_registrys_key_that_is_torn_is_made_anew_with_its_certificate(hosts: Hosts, left: float) -> None:
    run(hosts)
    was = hosts[M1].files[REGISTRY_KEY]
    hosts[M1].files[REGISTRY_KEY] = was[: int(len(was) * left)]
    run(hosts)
    assert hosts[M1].files[REGISTRY_KEY].startswith(b"-----BEGIN")
    assert hosts[M1].files[REGISTRY_KEY] != was


def test_a_ca_whose_certificate_is_torn_is_told_from_one_whose_key_is_gone(hosts: Hosts) -> None:
    run(hosts)
    whole = hosts[M1].files[CERTIFICATE]
    for address in (M1, M2):
        hosts[address].files[CERTIFICATE] = whole[: len(whole) // 2]
    with pytest.raises(HostError, match=f"{M1}, {M2}: {CERTIFICATE}.* is torn or gone; its key is there") as caught:
        CreateAuthority().is_needed(make_context(PLAN, hosts))
    assert f"cp {REGISTRY_CA} {CERTIFICATE}" in caught.value.remedy
    hosts[M2].files[CERTIFICATE] = hosts[M2].files[REGISTRY_CA]
    run(hosts)
    assert hosts[M1].files[CERTIFICATE] == whole, "one that has it is enough"


def test_masters_of_two_sites_are_told_apart(hosts: Hosts, tmp_path: Path) -> None:
    other = registry_hosts(PLAN, tmp_path / "other")
    run(hosts)
    run(other)
    mixed = make_context(PLAN, {M1: hosts[M1], M2: other[M2], N1: hosts[N1]})
    with pytest.raises(InstallerError, match=f"{M1}, {M2} have different CAs"):
        CreateAuthority().is_needed(mixed)


def test_what_cannot_be_seen_is_not_taken_for_absent(hosts: Hosts) -> None:
    run(hosts)
    hosts[M2].on("date \\+%s", failed(254, "sh: Cannot fork"))
    before = list(hosts[M2].changes)
    with pytest.raises(HostError, match="Cannot fork"):
        CreateAuthority().is_needed(make_context(PLAN, hosts))
    assert hosts[M2].changes == before


def test_another_address_another_ca_or_the_end_of_its_life_is_another_certificate(hosts: Hosts, tmp_path: Path) -> None:
    run(hosts)
    hosts[M2].files |= {path: hosts[M1].files[path] for path in (REGISTRY_CERTIFICATE, REGISTRY_KEY)}
    run(hosts)
    assert set(leaf(hosts[M2]).addresses) == {M2, "127.0.0.1"}
    old = leaf(hosts[M1])
    RegistryHost(hosts[M1], tmp_path / "later").clock += 70 * 24 * 3600
    run(hosts)
    assert leaf(hosts[M1]).certificate.not_valid_after_utc > old.certificate.not_valid_after_utc
    del hosts[M1].files[REGISTRY_KEY]
    assert CreateAuthority().is_needed(make_context(PLAN, hosts))


def test_a_site_whose_registries_the_clusters_ca_signed_trusts_both_before_anything_else_is_shown(hosts: Hosts) -> None:
    cluster, key = self_signed(), pem(ec.generate_private_key(ec.SECP256R1()))
    for host in hosts.values():
        host.files[REGISTRY_CA] = cluster
    for address in (M1, M2):
        hosts[address].files |= {REGISTRY_CERTIFICATE: cluster, REGISTRY_KEY: key, CLUSTER_KEY: CLUSTERS}
    hosts[M1].files |= {SECOND_KEY: CLUSTERS, "/var/lib/airseal/authority/ca.crt": cluster}

    def issue_anew(command: object) -> None:
        del command
        for host in hosts.values():
            assert host.files[REGISTRY_CA] == hosts[M1].files[CERTIFICATE] + cluster
        raise HostError(M1, "seen")

    hosts[M1].on("issue-registry", issue_anew)  # type: ignore[arg-type]
    with pytest.raises(HostError, match="seen"):
        CreateAuthority().run(make_context(PLAN, hosts))
    hosts[M1].rules.pop()
    run(hosts)
    assert {hosts[address].files[REGISTRY_KEY] for address in (M1, M2)} == {key}
    for host in hosts.values():
        assert host.files[REGISTRY_CA] == hosts[M1].files[CERTIFICATE] + cluster
    assert SECOND_KEY not in hosts[M1].files, "the cluster CA's key is where Kubernetes has it, and nowhere else"
    assert hosts[M1].files[CLUSTER_KEY] == CLUSTERS


def test_the_only_copy_of_the_cluster_cas_key_is_kept(hosts: Hosts) -> None:
    hosts[M1].files[SECOND_KEY] = CLUSTERS
    run(hosts)
    assert hosts[M1].files[SECOND_KEY] == CLUSTERS
