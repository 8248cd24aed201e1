"""The record becomes true step by step, is written everywhere, and a finished site is left alone."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.host.command import Command, CommandResult
from installer_stub.phases.base import Context
from installer_stub.phases.claim import claim
from installer_stub.phases.keep_record import KeepRecord
from installer_stub.site.codec import decode_record
from installer_stub.site.model import BundleState
from installer_stub.site.store import RECORD
from tests.fakes.certificate import self_signed
from tests.fakes.membership import answers_membership
from tests.fakes.plans import M1, M2, N1, make_context, make_plan, masters, nodes, scripted_hosts
from tests.fakes.scripted import ScriptedConnection, succeeded
from tests.fakes.sites import site_record

PLAN = make_plan(*masters(M1, M2), *nodes(N1))
BEGUN, DONE = KeepRecord(BundleState.INSTALLING), KeepRecord(BundleState.INSTALLED, told=True)


@pytest.fixture
def context() -> Context:
    hosts = scripted_hosts(PLAN)
    hosts[M1].files["/etc/kubernetes/pki/ca.crt"] = self_signed()
    stored: list[str] = []

    def apply(command: Command) -> CommandResult:
        assert isinstance(command.stdin, bytes)
        stored[:] = [command.stdin.decode()]
        return succeeded()

    hosts[M1].on("readyz", "ok").on("get configmap airseal-site", lambda _command: succeeded(stored[0] if stored else "")).on("apply --server-side", apply)
    for host in hosts.values():
        answers_membership(host)
    made = make_context(PLAN, hosts, record=site_record(PLAN))
    claim(made)
    return made


def files(context: Context) -> list[bytes]:
    return [connection.files[RECORD] for connection in context.connections.values() if isinstance(connection, ScriptedConnection) and RECORD in connection.files]


def test_authority_first_then_the_application(context: Context) -> None:
    assert BEGUN.is_needed(context)
    BEGUN.run(context)
    assert context.record is not None
    assert (context.record.epoch, context.record.authority) == (2, KUBEADM.authority_hash(self_signed()))
    assert not BEGUN.is_needed(context)
    assert DONE.is_needed(context)
    DONE.run(context)
    (record,) = {decode_record(raw) for raw in files(context)}
    assert record == context.record
    assert [each.state for each in record.site.bundles] == [BundleState.INSTALLED]
    assert len(files(context)) == 2


def test_a_finished_site_is_left_alone(context: Context) -> None:
    BEGUN.run(context)
    DONE.run(context)
    assert not BEGUN.is_needed(context)
    assert not DONE.is_needed(context)


@pytest.mark.parametrize("lost", ["", "{"])
def test_the_clusters_copy_is_written_again(context: Context, lost: str) -> None:
    BEGUN.run(context)
    DONE.run(context)
    first = context.connections[M1]
    assert isinstance(first, ScriptedConnection)
    first.on("get configmap airseal-site", lost and json.dumps({"data": {}}))
    assert DONE.is_needed(context)


def test_the_authority_is_written_down_once(context: Context) -> None:
    assert context.record is not None
    context.record = replace(context.record, authority="sha256:first", epoch=5)
    BEGUN.run(context)
    assert context.record.authority == "sha256:first"


def test_who_has_heard_of_the_masters_is_pending_no_more(context: Context) -> None:
    assert context.record is not None
    context.record = replace(context.record, pending=("n5",), epoch=4)
    BEGUN.run(context)
    assert context.record.pending == ("n5",)
    DONE.run(context)
    assert context.record.pending == ()


def test_who_is_silent_stays_pending(context: Context) -> None:
    assert context.record is not None
    context.record = replace(context.record, pending=("n5",), epoch=4)
    del context.connections[N1]
    DONE.run(context)
    assert context.record.pending == ("n5",)


def test_a_build_keeps_no_record() -> None:
    context = make_context(PLAN)
    assert not DONE.is_needed(context)
    DONE.run(context)
    assert all(not connection.commands for connection in context.connections.values() if isinstance(connection, ScriptedConnection))
