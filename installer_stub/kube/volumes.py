"""Volumes that lie on the hosts' own disks: a reset leaves them, and says where they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Object = Mapping[str, Any]


def host_volumes(volumes: Iterable[Object]) -> tuple[str, ...]:
    """Return ``node: path (namespace/claim)`` of every PersistentVolume that is a directory on a host, sorted."""
    found = []
    for volume in volumes:
        spec = volume.get("spec") or {}
        path = (spec.get("hostPath") or spec.get("local") or {}).get("path")
        if not path:
            continue
        claim = spec.get("claimRef") or {}
        whose = f" ({claim.get('namespace')}/{claim.get('name')})" if claim else ""
        found.append(f"{', '.join(_nodes(spec)) or 'any host'}: {path}{whose}")
    return tuple(sorted(found))


def _nodes(spec: Object) -> list[str]:
    terms = ((spec.get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or []
    return [
        str(value)
        for term in terms
        for expression in term.get("matchExpressions") or []
        if expression.get("key") == "kubernetes.io/hostname"
        for value in expression.get("values") or []
    ]
