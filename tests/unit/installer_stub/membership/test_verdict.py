"""What evidence proves, and what it does not."""

from __future__ import annotations

import pytest

from installer_stub.facts.cluster import parse_nodes
from installer_stub.membership.evidence import Evidence
from installer_stub.membership.record import Record, Stage, parse, render
from installer_stub.membership.verdict import Doubt, Membership, judge, proved_by
from tests.fakes.membership import node

KEY, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
TRACES = ("/etc/kubernetes/kubelet.conf",)


def evidence(record: bytes | None = None, *, traces: tuple[str, ...] = (), earlier: bool = False) -> Evidence:
    return Evidence(record, b"", "id", earlier, traces)


def record(stage: Stage, authority: str = KEY) -> bytes:
    return render(Record(stage, authority))


@pytest.mark.parametrize(
    ("found", "keys", "expected"),
    [
        (evidence(), (), Membership.ABSENT),
        (evidence(record(Stage.BEGUN)), (), Membership.BEGUN),
        (evidence(record(Stage.BEGUN), traces=TRACES), (OTHER,), Membership.BEGUN),
        (evidence(record(Stage.LEAVING), traces=TRACES), (KEY,), Membership.LEAVING),
        (evidence(record(Stage.LEAVING)), (), Membership.LEAVING),
        (evidence(record(Stage.INITIALISED), traces=TRACES), (KEY,), Membership.INITIALISED),
        (evidence(record(Stage.MEMBER), traces=TRACES), (KEY,), Membership.MEMBER),
        (evidence(record(Stage.MEMBER), traces=TRACES), (OTHER, KEY), Membership.MEMBER),  # a CA is being rotated
        (evidence(record(Stage.MEMBER, ""), traces=TRACES), (KEY,), Membership.MEMBER),
        (evidence(traces=TRACES, earlier=True), (KEY,), Membership.MEMBER),  # installed by an earlier release
        (evidence(earlier=True), (), Membership.ABSENT),
    ],
)
def test_proved(found: Evidence, keys: tuple[str, ...], expected: Membership) -> None:
    assert judge(found, frozenset(keys)) is expected


@pytest.mark.parametrize(
    ("found", "keys", "why"),
    [
        (evidence(traces=TRACES), (KEY,), "record of how they came is not there"),
        (evidence(b"", traces=TRACES), (KEY,), "is damaged"),
        (evidence(b"\x00" * 90, traces=TRACES), (KEY,), "is damaged"),
        (evidence(record(Stage.MEMBER)[:40], traces=TRACES), (KEY,), "is damaged"),
        (evidence(b'{"version": 9, "stage": "begun", "authority": ""}', traces=TRACES), (KEY,), "is damaged"),
        (evidence(record(Stage.MEMBER)), (KEY,), "nothing of Kubernetes is there any more"),
        (evidence(record(Stage.MEMBER), traces=TRACES), (OTHER,), "has another key"),
        (evidence(record(Stage.MEMBER), traces=TRACES), (), "has another key"),
        (evidence(record(Stage.INITIALISED), traces=TRACES), (OTHER,), "has another key"),
    ],
)
def test_doubtful(found: Evidence, keys: tuple[str, ...], why: str) -> None:
    doubt = judge(found, frozenset(keys))
    assert isinstance(doubt, Doubt)
    assert why in doubt.why


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"1", b'{"version":1}', b'{"version":1,"stage":"x","authority":""}', b"\xff", b" " * 5000])
def test_what_is_no_record_is_none(content: bytes) -> None:
    assert parse(content) is None


@pytest.mark.parametrize("stage", Stage)
def test_a_record_comes_back(stage: Stage) -> None:
    assert parse(render(Record(stage, KEY))) == Record(stage, KEY)


@pytest.mark.parametrize(
    ("ready", "control_plane", "master", "expected"),
    [(True, False, False, True), (False, False, False, False), (True, False, True, False), (True, True, True, True), (False, True, True, False)],
)
def test_the_cluster_proves_a_member_by_a_ready_node(*, ready: bool, control_plane: bool, master: bool, expected: bool) -> None:
    (found,) = parse_nodes([node("n1", "10.0.0.5", ready=ready, control_plane=control_plane)])
    assert proved_by(found, master=master) is expected
    assert not proved_by(None, master=master)
