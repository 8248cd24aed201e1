"""Whose a contact was: a workload by its address, or a host of the lab by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from bundler.errors import ClusterFailed
from bundler.lab.border import Contact, contacts
from installer_stub.errors import InstallerError
from installer_stub.host.connection import Connection
from installer_stub.kube.kubectl import Kubectl
from installer_stub.kube.owners import KINDS, by_uid, owner_name
from installer_stub.phases.reporter import Reporter

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


def whose(contact: Contact, owners: Mapping[str, str] | None, hosts: Mapping[str, str]) -> str:
    """Return who it was that wanted to leave; ``hosts`` are names by address. ``owners`` None: nobody could be asked for them."""
    if contact.source in hosts:
        return f"a program of the host {hosts[contact.source]}, a command of the Kubefile or a pod in the host's network"
    if owners is None:
        return f"a pod at {contact.source}; the API could not be asked whose that is"
    return owners.get(contact.source, f"a pod that had {contact.source} and is gone")


def tell_contacts(hosts: Mapping[str, Connection], reporter: Reporter) -> None:
    """Say who wanted to leave the closed network of ``hosts``, the first master first: what fails for it here fails at every site.

    This is said at the end of a recording, however it ended: hosts that cannot be asked any more are left out.
    """
    found: set[Contact] = set()
    for connection in hosts.values():
        with suppress(ClusterFailed, InstallerError):
            found |= contacts(connection)
    owners: dict[str, str] | None = None
    if found:
        with suppress(InstallerError):  # the cluster may be what failed
            owners = owners_by_address(Kubectl(next(iter(hosts.values()))).items(KINDS, "--all-namespaces"))
    names = {connection.host.address: name for name, connection in hosts.items()}
    for contact in sorted(found):
        reporter.step(f"refused, as there will be no way out at a site either: {contact}, wanted by {whose(contact, owners, names)}")
