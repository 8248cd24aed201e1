"""From evidence to a verdict, purely. What the host cannot prove by itself, the cluster may; what neither can, stops."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from installer_stub.facts.cluster import NodeFact
from installer_stub.membership.evidence import Evidence
from installer_stub.membership.record import Stage, parse


class Membership(StrEnum):
    """Absent, begun, member or leaving. Unknown has no value: see Doubt."""

    ABSENT = "absent"
    BEGUN = "begun"  # by us, and never completed: may be cleaned
    INITIALISED = "initialised"
    MEMBER = "member"
    LEAVING = "leaving"  # its undoing was begun and has not ended: nothing else may be done there


@dataclass(frozen=True, slots=True)
class Doubt:
    """The evidence speaks for two things at once, or for none. ``why`` is for a person."""

    why: str


_BY_STAGE = {
    Stage.BEGUN: Membership.BEGUN,
    Stage.LEAVING: Membership.LEAVING,
    Stage.INITIALISED: Membership.INITIALISED,
    Stage.MEMBER: Membership.MEMBER,
}


def judge(evidence: Evidence, keys: frozenset[str]) -> Membership | Doubt:
    """Return what the host's own evidence proves. ``keys`` are the public keys in its CA file, as ``sha256:…``.

    A CA is its public key: a certificate renewed with the same key, or a file with several CAs, is still that CA.
    """
    record = parse(evidence.record) if evidence.record is not None else None
    if record is None:
        return _without_record(evidence)
    stage = _BY_STAGE[record.stage]
    if stage in {Membership.BEGUN, Membership.LEAVING}:
        return stage
    if not evidence.traces:
        return Doubt(f"its record says {record.stage.value}, and nothing of Kubernetes is there any more")
    if record.authority and record.authority not in keys:
        return Doubt(f"its record says {record.stage.value} of the cluster with the CA key {record.authority[:19]}…, and the CA file there has another key")
    return stage


def _without_record(evidence: Evidence) -> Membership | Doubt:
    if not evidence.traces:
        return Membership.ABSENT
    if evidence.earlier_mark:
        return Membership.MEMBER
    lost = "is damaged" if evidence.record is not None else "is not there"
    return Doubt(f"{', '.join(evidence.traces)} lie there, and the record of how they came {lost}")


def proved_by(node: NodeFact | None, *, master: bool) -> bool:
    """Tell whether the cluster's own Node object proves a completed join: ready, and for a master, control plane.

    kubeadm marks a master as control plane after its etcd has joined (phase mark-control-plane).
    """
    return node is not None and node.ready and (node.control_plane or not master)
