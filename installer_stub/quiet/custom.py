"""Custom resources and helm's releases: judged by what they say of themselves, where they say so. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from installer_stub.kube.workloads import Unready

Object = Mapping[str, Any]
# What people mean by "it works" in API conventions, kstatus and crossplane; for definitions of resources, "Established".
_GOOD: Final = ("Ready", "Available", "Established")


def is_builtin(item: Object) -> bool:
    """Tell whether the kind is Kubernetes' own: its group has no dot, or ends in ``.k8s.io``."""
    group = str(item.get("apiVersion") or "").rpartition("/")[0]
    return "." not in group or group.endswith(".k8s.io")


def unsatisfied(objects: Iterable[Object]) -> tuple[Unready, ...]:
    """Return the custom resources that say of themselves that they are not as they are wanted."""
    return tuple(
        Unready(str(item["kind"]), str(item["metadata"].get("namespace") or ""), str(item["metadata"]["name"]), reason)
        for item in objects
        if (not is_builtin(item) or item.get("kind") == "CustomResourceDefinition") and (reason := _reason(item))
    )


def _reason(item: Object) -> str:
    status, generation = item.get("status"), _number(item["metadata"].get("generation"))
    if not isinstance(status, Mapping):
        return ""
    seen = _number(status.get("observedGeneration"))
    if 0 < seen < generation:
        return f"its controller has seen generation {seen} of {generation}"
    conditions = status.get("conditions")
    for each in conditions if isinstance(conditions, list) else ():
        if not isinstance(each, Mapping) or each.get("type") not in _GOOD:
            continue
        if each.get("status") in {"False", "Unknown"}:
            why = ": ".join(str(each[word]) for word in ("reason", "message") if each.get(word))
            return " ".join(f"{each['type']} is {each['status']}{f' ({why})' if why else ''}".split())[:400]
        if 0 < _number(each.get("observedGeneration")) < generation:
            return f"{each['type']} is about generation {each['observedGeneration']} of {generation}"
    return ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def undeployed(objects: Iterable[Object]) -> tuple[Unready, ...]:
    """Return helm's releases whose newest revision is not deployed: one that failed stays so.

    helm keeps a revision as a Secret (or ConfigMap) with labels; its content, the values, is never looked at.
    """
    newest: dict[tuple[str, str], tuple[int, str]] = {}
    for item in objects:
        labels = item["metadata"].get("labels") or {}
        if item.get("kind") not in {"Secret", "ConfigMap"} or labels.get("owner") != "helm":
            continue
        where = str(item["metadata"].get("namespace") or ""), str(labels.get("name"))
        revision = int(str(labels.get("version"))) if str(labels.get("version")).isdigit() else 0
        newest[where] = max(newest.get(where, (-1, "")), (revision, str(labels.get("status"))))
    return tuple(
        Unready("Release", namespace, name, f"helm's revision {revision} is {status or 'without a status'}", failed=status == "failed")
        for (namespace, name), (revision, status) in newest.items()
        if status not in {"deployed", "superseded", "uninstalled"}
    )
