"""Whose a host is, and the two things that are copied: the stub to all, the artifact to masters."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace

import pytest

from installer_stub.errors import ClusterError, InstallerError, LedgerDamaged, RecordError
from installer_stub.host.command import Command, CommandResult
from installer_stub.phases import claim
from installer_stub.phases.base import Artifact
from installer_stub.phases.copy_stub import Claim, CopyStub
from installer_stub.site.codec import decode_identity, decode_record
from installer_stub.site.store import RECORD
from tests.fakes.plans import (
    IDENTITY,
    LOOK,
    M1,
    N1,
    STUB,
    RecordingReporter,
    make_context,
    make_plan,
    masters,
    nodes,
    scripted_hosts,
)
from tests.fakes.scripted import ScriptedConnection, failed
from tests.fakes.sites import site_record

PLAN = make_plan(*masters(M1), *nodes(N1))
DIGEST = hashlib.sha256(STUB).hexdigest()


def old_marker(cluster: str, bundle: str = "shop:1.4.0") -> bytes:
    """The mark of a release that kept no record."""
    return json.dumps({"cluster": cluster, "bundle": bundle}).encode() + b"\n"


def with_stub(hosts: dict[str, ScriptedConnection]) -> dict[str, ScriptedConnection]:
    for connection in hosts.values():
        connection.journals().on(LOOK, f"{IDENTITY}\n")
    return hosts


def clusters(hosts: dict[str, ScriptedConnection]) -> set[str]:
    return {json.loads(host.files[claim.MARKER])["cluster"] for host in hosts.values()}


def test_all_hosts_get_the_records_id_and_masters_the_record() -> None:
    hosts = scripted_hosts(PLAN)
    claim.claim(make_context(PLAN, hosts, record=site_record(PLAN, cluster="c1")))
    assert clusters(hosts) == {"c1"}
    assert {host.modes[claim.MARKER] for host in hosts.values()} == {0o600}
    assert decode_record(hosts[M1].files[RECORD]) == site_record(PLAN, cluster="c1")
    assert hosts[M1].modes[RECORD] == 0o600
    assert RECORD not in hosts[N1].files


def test_a_build_has_no_record_and_still_makes_one_id() -> None:
    hosts = scripted_hosts(PLAN)
    claim.claim(make_context(PLAN, hosts))
    (made,) = clusters(hosts)
    assert len(made) >= 16
    claim.claim(make_context(PLAN, hosts))
    assert clusters(hosts) == {made}


def test_the_mark_of_an_older_release_becomes_an_identity_of_the_same_cluster() -> None:
    hosts = scripted_hosts(PLAN)
    for host in hosts.values():
        host.files[claim.MARKER] = old_marker("c1")
    claim.claim(make_context(PLAN, hosts, record=site_record(PLAN, cluster="c1")))
    identity = decode_identity(hosts[N1].files[claim.MARKER])
    assert (identity.cluster, identity.name, identity.masters) == ("c1", "n5", (M1,))


@pytest.mark.parametrize("first", [b"", old_marker("mine")], ids=["a blank first master", "another cluster's first master"])
def test_a_host_of_another_cluster_stops_it_before_any_host_is_marked(first: bytes) -> None:
    hosts = scripted_hosts(PLAN)
    if first:
        hosts[M1].files[claim.MARKER] = first
    hosts[N1].files[claim.MARKER] = old_marker("theirs")
    before = {address: dict(host.files) for address, host in hosts.items()}
    with pytest.raises(ClusterError, match=N1):
        claim.claim(make_context(PLAN, hosts, record=site_record(PLAN, cluster="mine")))
    assert {address: host.files for address, host in hosts.items()} == before


def test_of_two_installers_that_begin_together_the_second_one_stops() -> None:
    hosts = scripted_hosts(PLAN)
    theirs = make_context(PLAN, hosts, record=site_record(PLAN, cluster="theirs"))
    first = hosts[M1]
    create = first.rules[-1][1]

    def other_was_faster(command: Command) -> CommandResult:
        first.rules.pop()
        claim.claim(theirs)
        return create(command)

    first.on("mv -nT ", other_was_faster)
    with pytest.raises(ClusterError, match=rf"^{M1}: another installer has just taken this host for cluster theirs"):
        claim.claim(make_context(PLAN, hosts, record=site_record(PLAN, cluster="mine")))
    assert clusters(hosts) == {"theirs"}


@pytest.mark.parametrize("torn", [b"", b"{", b"[]", b'"text"', b'{"format":"airseal.host/1"}'])
def test_a_torn_mark_of_a_host_that_the_record_has_is_made_whole(torn: bytes) -> None:
    hosts = scripted_hosts(PLAN)
    context = make_context(PLAN, hosts, record=site_record(PLAN, cluster="c1"))
    claim.claim(context)
    assert claim.is_claimed(context)
    hosts[N1].files[claim.MARKER] = torn
    assert not claim.is_claimed(context)
    claim.claim(context)
    assert claim.is_claimed(context)


def test_a_master_with_a_later_record_is_not_written_over() -> None:
    hosts = scripted_hosts(PLAN)
    record = site_record(PLAN, cluster="c1")
    claim.claim(make_context(PLAN, hosts, record=replace(record, epoch=7)))
    with pytest.raises(RecordError, match="epoch 7 of cluster c1"):
        claim.claim(make_context(PLAN, hosts, record=record))
    assert decode_record(hosts[M1].files[RECORD]).epoch == 7


def test_the_stub_is_copied_only_where_it_is_not() -> None:
    hosts = scripted_hosts(PLAN)
    hosts[M1].journals().on(LOOK, f"{IDENTITY}\n")
    hosts[N1].journals().on(LOOK, failed(1, "No such file"))
    context = make_context(PLAN, hosts)
    assert CopyStub().is_needed(context)
    CopyStub().run(context)
    assert "/opt/airseal/bin/airseal" not in hosts[M1].files
    assert hosts[N1].files["/opt/airseal/bin/airseal"] == STUB


def test_another_stub_is_replaced() -> None:
    hosts = scripted_hosts(PLAN)
    for host in hosts.values():
        host.journals().on(LOOK, f"{'0' * 64}  x\n")
    CopyStub().run(make_context(PLAN, hosts))
    assert all("/opt/airseal/bin/airseal" in host.files for host in hosts.values())


def test_nothing_is_needed_on_claimed_hosts_that_have_it() -> None:
    hosts = with_stub(scripted_hosts(PLAN))
    context = make_context(PLAN, hosts, record=site_record(PLAN))
    Claim().run(context)
    CopyStub().run(context)
    assert not Claim().is_needed(context)
    assert not CopyStub().is_needed(context)
    log = hosts[N1].files.pop("/var/lib/airseal/ledger/log")
    with pytest.raises(LedgerDamaged, match=r"^10\.0\.0\.5: .* all of its 1 records are lost"):
        CopyStub().is_needed(context)
    hosts[N1].files.pop("/etc/airseal/ledger")  # put up at the end of the session that begins the ledger
    assert CopyStub().is_needed(context)  # a host whose ledger has not begun is not ready for changes
    for torn in (b"", log[: len(log) // 2]):  # a cut between the log's making and the record that the host was measured
        hosts[N1].files["/var/lib/airseal/ledger/log"] = torn
        hosts[N1].files.pop("/etc/airseal/ledger", None)
        assert CopyStub().is_needed(context)
        CopyStub().run(context)
        assert not CopyStub().is_needed(context)
    del hosts[N1].files[claim.MARKER]
    assert Claim().is_needed(context)


def test_a_stub_that_is_not_the_one_that_was_verified_is_not_installed() -> None:
    hosts = scripted_hosts(PLAN)
    for host in hosts.values():
        host.on(LOOK, failed(1, "No such file"))
    altered = Artifact(len(STUB), lambda: io.BytesIO(STUB[::-1]), DIGEST)
    with pytest.raises(InstallerError, match="the installer is not what was verified"):
        CopyStub().run(make_context(PLAN, hosts, artifact=altered, record=site_record(PLAN)))
    assert all("/opt/airseal/bin/airseal" not in host.files for host in hosts.values())


def test_what_a_ledger_keeps_and_lost_is_told_and_stops_nothing() -> None:
    hosts = with_stub(scripted_hosts(PLAN))
    context = make_context(PLAN, hosts, record=site_record(PLAN))
    CopyStub().run(context)
    hosts[N1].on("host ledger check", json.dumps({"lost": [{"name": "/etc/hosts", "why": "there is no /var/lib/airseal/ledger/content/abc"}]}))
    assert not CopyStub().is_needed(context)
    assert isinstance(context.reporter, RecordingReporter)
    (told,) = [step for step in context.reporter.steps if "backup" in step]
    assert told.startswith("10.0.0.5: a reset will stop at /etc/hosts")
    assert told.endswith(": there is no /var/lib/airseal/ledger/content/abc")
    hosts[N1].on("host ledger check", json.dumps({"mendable": ["/etc/hosts"]}))
    assert CopyStub().is_needed(context)  # the host keeps again what it can prove


def test_the_sign_of_a_ledger_is_put_up_again_on_a_host_with_nothing_else_to_do() -> None:
    hosts = with_stub(scripted_hosts(PLAN))
    context = make_context(PLAN, hosts, record=site_record(PLAN))
    CopyStub().run(context)
    before = hosts[N1].files["/var/lib/airseal/ledger/log"]
    del hosts[N1].files["/etc/airseal/ledger"]
    assert CopyStub().is_needed(context)
    CopyStub().run(context)
    assert "/etc/airseal/ledger" in hosts[N1].files
    assert hosts[N1].files["/var/lib/airseal/ledger/log"] == before
    assert not CopyStub().is_needed(context)
