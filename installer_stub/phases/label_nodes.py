"""Labels and taints that the site's record gives to nodes, or the hosts of a build. What others gave stays; what we gave and nobody wants any more goes.

Which ones are ours stands in an annotation of the node, since a label does not say whose it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from installer_stub.kube.kubectl import Object
from installer_stub.kube.rewrite import rewrite
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.cluster_access import kubectl, wait_for_api
from installer_stub.phases.join_masters import JoinMasters
from installer_stub.phases.join_nodes import JoinNodes
from installer_stub.phases.keep_record import KeepRecord
from installer_stub.phases.start_first_master import StartFirstMaster
from installer_stub.plan.model import HostPlan, Plan
from installer_stub.site.model import SiteHost

GIVEN: Final = "airseal.internal/given"


class LabelNodes(Phase):
    """Once nodes are there, before anything is scheduled by their labels."""

    title: ClassVar[str] = "Label the nodes"
    after = (StartFirstMaster, KeepRecord, JoinMasters, JoinNodes)
    acts_on_cluster: ClassVar[bool] = True

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """The cluster, through a master."""
        return plan.masters[:1]

    def is_needed(self, context: Context) -> bool:
        """Compare every node with the record."""
        return bool(_patches(context))

    def run(self, context: Context) -> None:
        """Patch those that differ. One that changed meanwhile is refused by the API, and looked at anew."""
        wait_for_api(context)

        def patch_all() -> None:
            for name, patch in _patches(context).items():
                kubectl(context).run("patch", "node", name, "--type=merge", f"--patch={json.dumps(patch)}", changes=f"label node {name}")

        rewrite(patch_all)


def node_patch(node: Object, host: SiteHost) -> Mapping[str, Any] | None:
    """Return the merge patch (RFC 7396) that brings ``node`` to what ``host`` wants, or None where it is so."""
    metadata, spec = node["metadata"], node.get("spec") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    given = _given(annotations.get(GIVEN))
    wanted = dict(host.labels)
    changed: dict[str, str | None] = {name: value for name, value in wanted.items() if labels.get(name) != value}
    changed |= {name: None for name in given["labels"] if name not in wanted and name in labels}
    have = [dict(taint) for taint in spec.get("taints") or []]
    taints = [parse_taint(text) for text in host.taints]
    keys = {(taint["key"], taint["effect"]) for taint in taints}
    ours = {tuple(each) for each in given["taints"]}
    kept = [taint for taint in have if (taint.get("key"), taint.get("effect")) not in keys | ours]
    after = [*kept, *taints]
    note = {"labels": sorted(wanted), "taints": sorted(list(key) for key in keys)}
    text = json.dumps(note, sort_keys=True) if wanted or keys else None
    differs = sorted(map(_plain, after)) != sorted(map(_plain, have))
    if not changed and not differs and annotations.get(GIVEN) == text:
        return None
    patch: dict[str, Any] = {"metadata": {"labels": changed, "annotations": {GIVEN: text}}}
    if differs:
        # Taints are a list, replaced as a whole. With the version that was read: one that somebody adds in this moment is not lost.
        patch["metadata"]["resourceVersion"] = metadata.get("resourceVersion")
        patch["spec"] = {"taints": after or None}
    return patch


def parse_taint(text: str) -> dict[str, str]:
    """Return the taint that ``key[=value]:Effect`` spells."""
    left, _, effect = text.rpartition(":")
    key, equals, value = left.partition("=")
    return {"key": key, "effect": effect, **({"value": value} if equals else {})}


def _patches(context: Context) -> dict[str, Mapping[str, Any]]:
    hosts = {host.name: host for host in (context.lab_hosts if context.record is None else context.record.site.hosts)}
    if not hosts:
        return {}
    nodes = {str(node["metadata"]["name"]): node for node in kubectl(context).items("nodes")}
    found = {name: node_patch(nodes[name], host) for name, host in hosts.items() if name in nodes}
    return {name: patch for name, patch in found.items() if patch is not None}


def _given(text: object) -> dict[str, list[Any]]:
    try:
        value = json.loads(str(text))
        return {"labels": [str(each) for each in value["labels"]], "taints": [[str(part) for part in each] for each in value["taints"]]}
    except (ValueError, KeyError, TypeError):
        return {"labels": [], "taints": []}


def _plain(taint: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(taint.get("key", "")), str(taint.get("value", "")), str(taint.get("effect", ""))
