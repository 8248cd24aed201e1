"""The record of a site that an older release installed: made from what the cluster itself says, the first time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from installer_stub.distro.paths import CONFIG_MAP
from installer_stub.errors import RecordError
from installer_stub.host.model import Role
from installer_stub.kube.kubectl import Kubectl, Object
from installer_stub.site.model import (
    BundleState,
    Change,
    InstalledBundle,
    Networks,
    Site,
    SiteHost,
    SiteRecord,
    Versions,
)
from installer_stub.site.store import OldMark

_CONTROL_PLANE: Final = "node-role.kubernetes.io/control-plane"
_REMEDY: Final = f"see that the cluster is well: kubectl -n kube-system get configmap {CONFIG_MAP}"


def record_from_cluster(kubectl: Kubectl, old: OldMark, change: Change) -> SiteRecord:
    """Return the first record of a running cluster. Its authority and the bundle's content are not known yet.

    Raises CommandFailed where the API does not answer, RecordError where it says too little.
    """
    config = cluster_configuration(kubectl.get("configmap", CONFIG_MAP, "-n", "kube-system"))
    networking = config.get("networking")
    networking = networking if isinstance(networking, Mapping) else {}
    pods, services = networking.get("podSubnet"), networking.get("serviceSubnet")
    if not isinstance(pods, str) or not isinstance(services, str):
        raise RecordError("the cluster's own configuration names no networks", _REMEDY)
    hosts = hosts_of(kubectl.items("nodes"))
    if not any(host.role is Role.MASTER for host in hosts):
        raise RecordError("the cluster lists no master among its nodes", _REMEDY)
    name, _, version = old.bundle.rpartition(":")
    # kubeadm's name of the cluster is the bundle's.
    bundle = InstalledBundle(name or str(config.get("clusterName", "")), version, "", BundleState.INSTALLING)
    bundles = (bundle,) if bundle.name else ()
    site = Site(hosts, Networks(pods, services), bundles)
    return SiteRecord(old.cluster, 1, "", site, Versions(str(config.get("kubernetesVersion", "")), ""), change)


def cluster_configuration(config_map: Object) -> Mapping[str, Any]:
    """Return kubeadm's ClusterConfiguration out of its ConfigMap. Raises RecordError."""
    try:
        value = yaml.safe_load(config_map["data"]["ClusterConfiguration"])
    except (KeyError, TypeError, yaml.YAMLError):
        value = None
    if not isinstance(value, Mapping):
        raise RecordError(f"the ConfigMap kube-system/{CONFIG_MAP} holds no ClusterConfiguration", _REMEDY)
    return value


def hosts_of(nodes: tuple[Object, ...]) -> tuple[SiteHost, ...]:
    """Return the nodes as hosts, masters first, each in the order in which they came to be. Raises RecordError."""

    def rank(node: Object) -> tuple[bool, str, str]:
        metadata = node["metadata"]
        labels = metadata.get("labels") or {}
        return _CONTROL_PLANE not in labels, str(metadata.get("creationTimestamp", "")), str(metadata["name"])

    return tuple(_host(node) for node in sorted(nodes, key=rank))


def _host(node: Object) -> SiteHost:
    metadata = node["metadata"]
    addresses = (node.get("status") or {}).get("addresses") or []
    internal = next((str(each["address"]) for each in addresses if each.get("type") == "InternalIP"), "")
    if not internal:
        raise RecordError(f"node {metadata['name']} has no internal address", _REMEDY)
    role = Role.MASTER if _CONTROL_PLANE in (metadata.get("labels") or {}) else Role.NODE
    return SiteHost(str(metadata["name"]), role, internal, internal)
