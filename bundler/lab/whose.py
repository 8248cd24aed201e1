"""Whose a contact was: a workload by its address, or a host of the lab by its name. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bundler.lab.border import Contact
from installer_stub.kube.owners import by_uid, owner_name

Object = Mapping[str, Any]


def owners_by_address(objects: Iterable[Object]) -> dict[str, str]:
    """Return who has which address. Pods in their host's network have none of their own.

    ``objects`` are pods, and what they may belong to (``kube.owners.KINDS``): a Deployment stands for its pods where its
    ReplicaSets are among them.
    """
    listed = tuple(objects)
    known = by_uid(listed)
    found: dict[str, str] = {}
    for pod in listed:
        status, spec = pod.get("status") or {}, pod.get("spec") or {}
        if pod.get("kind") == "Pod" and status.get("podIP") and not spec.get("hostNetwork"):
            found[str(status["podIP"])] = owner_name(pod, known)
    return found


def whose(contact: Contact, owners: Mapping[str, str], hosts: Mapping[str, str]) -> str:
    """Return who it was that wanted to leave; ``hosts`` are names by address."""
    if contact.source in hosts:
        return f"a program of the host {hosts[contact.source]}, a command of the Kubefile or a pod in the host's network"
    return owners.get(contact.source, f"a pod that had {contact.source} and is gone")
