"""A node gets what the record wants, keeps what others gave it, and loses what only we gave it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from installer_stub.phases.label_nodes import GIVEN, LabelNodes, node_patch
from installer_stub.site.model import SiteHost
from tests.fakes.membership import answers_membership
from tests.fakes.plans import M1, N1, make_context, make_plan, masters, nodes, scripted_hosts
from tests.fakes.sites import node, record

ROLE_TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


def fact(labels: dict[str, str] | None = None, taints: list[dict[str, str]] | None = None, given: dict[str, Any] | None = None, name: str = "n5") -> dict[str, Any]:
    annotations = {GIVEN: json.dumps(given, sort_keys=True)} if given is not None else {}
    return {"metadata": {"name": name, "resourceVersion": "7", "labels": labels or {}, "annotations": annotations}, "spec": {"taints": taints or []}}


def applied(thing: dict[str, Any], host: SiteHost) -> dict[str, Any]:
    """Return the node after the patch, as RFC 7396 says."""

    def merge(target: Any, patch: Any) -> Any:
        if not isinstance(patch, dict):
            return patch
        base = dict(target) if isinstance(target, dict) else {}
        for key, value in patch.items():
            if value is None:
                base.pop(key, None)
            else:
                base[key] = merge(base.get(key), value)
        return base

    patch = node_patch(thing, host)
    assert patch is not None
    merged: dict[str, Any] = merge(thing, patch)
    return merged


WANTED = node(5, labels=(("rack", "7"),), taints=("disk=slow:NoSchedule", "gone:NoExecute"))


def test_what_is_wanted_is_given_once() -> None:
    after = applied(fact({"kubernetes.io/hostname": "n5"}, [ROLE_TAINT]), WANTED)
    assert after["metadata"]["labels"] == {"kubernetes.io/hostname": "n5", "rack": "7"}
    assert after["spec"]["taints"] == [ROLE_TAINT, {"key": "disk", "value": "slow", "effect": "NoSchedule"}, {"key": "gone", "effect": "NoExecute"}]
    assert node_patch(after, WANTED) is None
    assert node_patch({**after, "spec": {"taints": after["spec"]["taints"][::-1]}}, WANTED) is None


def test_what_nobody_wants_any_more_goes_and_what_others_gave_stays() -> None:
    given = applied(fact({"theirs": "1"}, [ROLE_TAINT]), WANTED)
    after = applied(given, node(5))
    assert after["metadata"]["labels"] == {"theirs": "1"}
    assert after["spec"]["taints"] == [ROLE_TAINT]
    assert GIVEN not in after["metadata"]["annotations"]
    assert node_patch(after, node(5)) is None


def test_a_label_of_others_with_another_value_is_ours_from_now_on() -> None:
    after = applied(fact({"rack": "1"}), WANTED)
    assert after["metadata"]["labels"]["rack"] == "7"


@pytest.mark.parametrize("torn", ["", "{", "[]", "7", '{"labels": 7}'])
def test_a_torn_annotation_takes_nothing_away(torn: str) -> None:
    thing = fact({"rack": "7", "theirs": "1"})
    thing["metadata"]["annotations"][GIVEN] = torn
    assert applied(thing, WANTED)["metadata"]["labels"] == {"rack": "7", "theirs": "1"}


@pytest.mark.parametrize("given", ["record", "lab_hosts"])
def test_only_nodes_that_differ_are_patched(given: str) -> None:
    """A site's record says what they get; of a build, which has none, the hosts themselves."""
    plan = make_plan(*masters(M1), *nodes(N1))
    hosts = scripted_hosts(plan)
    for host in hosts.values():
        answers_membership(host)
    listed = json.dumps({"items": [fact(name="n5"), fact(name="m2")]})
    hosts[M1].on("readyz", "ok").on("get nodes", listed).on("patch node", "")
    wanted = (*record().site.hosts[:1], WANTED)
    context = make_context(plan, hosts, **{given: record(*wanted) if given == "record" else wanted})
    assert LabelNodes().is_needed(context)
    LabelNodes().run(context)
    assert [command.changes for command in hosts[M1].ran("patch node")] == ["label node n5"]
    assert '"resourceVersion": "7"' in hosts[M1].ran("patch node")[0].text
    assert not LabelNodes().is_needed(make_context(plan, hosts))
