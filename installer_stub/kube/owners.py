"""Owners: whose a pod is, by the name that stays the same from one installation to the next. Pure.

A build writes these names into the lock as reasons; at a site they tell what is the bundle's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

Object = Mapping[str, Any]
# What a walk from a pod to its topmost owner has to know; one request.
KINDS: Final = "pods,replicasets.apps,jobs.batch"
STATIC_POD: Final = "static pod"

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MADE_UP: Final = "…"


def by_uid(objects: Iterable[Object]) -> dict[object, Object]:
    """Return the objects by their uid."""
    return {item["metadata"].get("uid"): item for item in objects}


def owner_name(item: Object, known: Mapping[object, Object]) -> str:
    """Return the topmost owner that says something: ``Deployment shop/api``; a static pod's is its node's.

    Names that a controller made up are left out: a Deployment stands for its pods.
    """
    at, kind, name = item, str(item.get("kind")), lasting_name(item["metadata"])
    for _ in range(4):  # Pod, ReplicaSet, Deployment; Pod, Job, CronJob
        owners = at["metadata"].get("ownerReferences") or []
        if not owners:
            break
        if owners[0].get("kind") == "Node":
            kind, name = STATIC_POD, str(at["metadata"]["name"]).removesuffix(f"-{owners[0].get('name')}")
            break
        kind, name = str(owners[0].get("kind")), str(owners[0].get("name"))
        following = known.get(owners[0].get("uid"))
        if following is None:
            break
        at = following
        if at["metadata"].get("name") == name:
            name = lasting_name(at["metadata"])
    return f"{kind} {item['metadata'].get('namespace', '')}/{steady(name)}"


def lasting_name(metadata: Mapping[str, Any]) -> str:
    """Return an object's name without what the API server appended to ``generateName``: that is another one every time."""
    name, stem = str(metadata.get("name") or ""), str(metadata.get("generateName") or "")
    made_up = bool(stem) and (not name or name.startswith(stem))  # no name: a manifest, before the API server had it
    return f"{stem}{_MADE_UP}" if made_up else name


def steady(name: str) -> str:
    """Return a name without the parts that are another UUID every time."""
    return _UUID.sub(_MADE_UP, name)
