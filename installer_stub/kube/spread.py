"""Cluster DNS on more than one host: kubeadm's own rule only prefers it, and the first host that is ready gets both pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from installer_stub.kube.workloads import node_reason

Object = Mapping[str, Any]
DNS_SELECTOR: Final = "k8s-app=kube-dns"
# CoreDNS tolerates the first; the others come and go with a host's health.
_TOLERATED: Final = frozenset({"node-role.kubernetes.io/control-plane"})


def is_placed(pods: Sequence[Object], nodes: Iterable[Object]) -> bool:
    """Tell whether every pod has a host and every host is ready: only then the places that pods have are their last ones."""
    return bool(pods) and all(_host(pod) for pod in pods) and not any(node_reason(node) for node in nodes)


def crowded(pods: Sequence[Object], nodes: Iterable[Object]) -> str | None:
    """Return the pod to make anew elsewhere where all of them are on one host and another host could have one."""
    living = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    hosts = {_host(pod) for pod in living}
    if len(living) < 2 or len(hosts) != 1 or not any(str(node["metadata"]["name"]) not in hosts and _takes(node) for node in nodes):
        return None
    newest = max(living, key=lambda pod: (str(pod["metadata"].get("creationTimestamp", "")), str(pod["metadata"]["name"])))
    return str(newest["metadata"]["name"])


def _host(pod: Object) -> str:
    return str((pod.get("spec") or {}).get("nodeName") or "")


def _takes(node: Object) -> bool:
    spec = node.get("spec") or {}
    hindering = [taint for taint in spec.get("taints") or [] if taint.get("effect") != "PreferNoSchedule" and taint.get("key") not in _TOLERATED]
    return not node_reason(node) and not spec.get("unschedulable") and not hindering
