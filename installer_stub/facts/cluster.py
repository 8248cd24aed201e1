"""Facts of a cluster: its nodes, as its API tells them. Pure parsing of what ``kubectl get nodes -o json`` prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from installer_stub.errors import ClusterError
from installer_stub.kube.kubectl import Kubectl
from installer_stub.kube.pods import ready_condition

CONTROL_PLANE: Final = "node-role.kubernetes.io/control-plane"  # kubeadm's phase mark-control-plane


@dataclass(frozen=True, slots=True)
class NodeFact:
    """A Node object. ``addresses`` are its InternalIPs; ``machine_id`` as kubelet read it when it registered."""

    name: str
    addresses: tuple[str, ...]
    machine_id: str
    ready: bool
    control_plane: bool
    version: str


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What the API of one master says."""

    nodes: tuple[NodeFact, ...]

    def at(self, address: str) -> NodeFact | None:
        """Return the node with this InternalIP, or None."""
        return next((node for node in self.nodes if address in node.addresses), None)

    def named(self, name: str) -> NodeFact | None:
        """Return the node of this name, or None."""
        return next((node for node in self.nodes if node.name == name), None)


def parse_nodes(items: Iterable[Mapping[str, Any]]) -> tuple[NodeFact, ...]:
    """Return the nodes. Raises ClusterError for an object that is none."""
    try:
        return tuple(_node(item) for item in items)
    except (KeyError, TypeError, AttributeError) as error:
        raise ClusterError(f"the cluster's list of nodes cannot be read: {error!r}", "run again") from None


def _node(item: Mapping[str, Any]) -> NodeFact:
    status = item["status"]
    ready = (ready_condition(item) or {}).get("status") == "True"
    info = status.get("nodeInfo") or {}
    return NodeFact(
        name=str(item["metadata"]["name"]),
        addresses=tuple(str(each["address"]) for each in status.get("addresses") or [] if each.get("type") == "InternalIP"),
        machine_id=str(info.get("machineID", "")),
        ready=ready,
        control_plane=CONTROL_PLANE in (item["metadata"].get("labels") or {}),
        version=str(info.get("kubeletVersion", "")),
    )


def gather(kubectl: Kubectl) -> ClusterFacts:
    """Return what the cluster says. Raises HostError, ClusterError: an API that does not answer is no empty cluster."""
    return ClusterFacts(parse_nodes(kubectl.items("nodes")))


def is_same_host(node: NodeFact, address: str, machine_id: str) -> bool:
    """Tell whether ``node`` is the host at ``address``: by its address, or as one that is gone by its machine id.

    A node that is ready lives where it says; clones of one machine image share the machine id.
    """
    return address in node.addresses or (bool(machine_id) and node.machine_id == machine_id and not node.ready)
