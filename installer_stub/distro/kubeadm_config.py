"""kubeadm's configuration, made from a plan. Fields: kubernetes.io/docs/reference/config-api, kubeadm-config.v1beta4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from installer_stub.distro import paths
from installer_stub.distro.base import JoinGrant
from installer_stub.distro.containerd import SOCKET
from installer_stub.host.model import Role
from installer_stub.plan.model import API_NAME, API_PORT, AUTHORITY_VALIDITY, HostPlan, Plan

PATCHES: Final = "/etc/airseal/patches"
KUBELET_PATCH: Final = f"{PATCHES}/kubeletconfiguration+merge.yaml"
NO_NAMESERVER: Final = "/etc/airseal/resolv.conf"
_KUBEADM: Final = "kubeadm.k8s.io/v1beta4"
# A grant lives as long as the slowest join may take, no longer.
_GRANT_TTL: Final = "15m0s"
# kubeadm makes a bootstrap token at init whether one is wanted or not; this one is over before anybody could use it.
_UNWANTED_TTL: Final = "1s"

Document = Mapping[str, Any]


class _Quoting(yaml.SafeDumper):
    """Quotes every text. PyYAML leaves ``n`` and ``1e3`` bare, and Go's YAML reads a bool and a number there."""


_Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def dump(*documents: Document) -> str:
    """Return the YAML of the documents, keys in the order they were written."""
    return yaml.dump_all(documents, Dumper=_Quoting, sort_keys=False, default_flow_style=False, explicit_start=True, width=4096)


def node_registration(plan: Plan, host: HostPlan) -> Document:
    """Return how a host registers. The address is always given: nothing may guess it from a default route."""
    # bridge-nf-call-iptables: PrepareHosts has set it where the kernel has it, and noted where not.
    ignored = ["Swap", "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables"]
    if host.cgroup_v1:
        ignored.append("SystemVerification")  # it refuses cgroup v1, which kubelet is told to accept
    arguments = [("node-ip", host.internal)]
    if (root := plan.settings.directory("kubelet", paths.KUBELET)) != paths.KUBELET:
        arguments.append(("root-dir", root))  # its certificates and its configuration stay in /var/lib/kubelet
    registration: dict[str, Any] = {
        "name": host.name,
        "criSocket": f"unix://{SOCKET}",
        "imagePullPolicy": "IfNotPresent",
        "imagePullSerial": False,
        "ignorePreflightErrors": ignored,
        "kubeletExtraArgs": [{"name": name, "value": value} for name, value in arguments],
    }
    if not plan.site_nodes:
        registration["taints"] = []  # masters do all the work: an empty list, not a missing one, means no taint
    return registration


def _endpoint(host: HostPlan) -> Document:
    return {"advertiseAddress": host.internal, "bindPort": API_PORT}


def init_configuration(plan: Plan, host: HostPlan, grant: JoinGrant | None) -> Document:
    """Return the InitConfiguration; with a grant it holds secrets."""
    token: dict[str, Any] = {"ttl": _UNWANTED_TTL}
    if grant is not None:
        token = {"token": grant.token.reveal(), "ttl": _GRANT_TTL, "description": "airseal: hosts join"}
    document: dict[str, Any] = {
        "apiVersion": _KUBEADM,
        "kind": "InitConfiguration",
        "bootstrapTokens": [token],
        "localAPIEndpoint": _endpoint(host),
        "nodeRegistration": node_registration(plan, host),
        "patches": {"directory": PATCHES},
        # Old disks: etcd's first fsyncs alone can take minutes.
        "timeouts": {"controlPlaneComponentHealthCheck": "8m0s", "kubeletHealthCheck": "8m0s"},
    }
    if grant is not None and grant.certificate_key is not None:
        document["certificateKey"] = grant.certificate_key.reveal()
    return document


def cluster_configuration(plan: Plan) -> Document:
    """Return the ClusterConfiguration: the same for every master, whenever it joins."""
    names = [API_NAME, *(master.address for master in plan.site_masters), *(master.name for master in plan.site_masters), "127.0.0.1", *(master.reach for master in plan.site_masters if master.reach), *plan.access.sans]
    etcd = plan.settings.directory("etcd", paths.ETCD)
    return {
        "apiVersion": _KUBEADM,
        "kind": "ClusterConfiguration",
        "clusterName": plan.bundle.name,
        "kubernetesVersion": plan.bundle.kubernetes,
        "controlPlaneEndpoint": f"{API_NAME}:{API_PORT}",
        "networking": {"podSubnet": plan.pod_cidr, "serviceSubnet": plan.service_cidr, "dnsDomain": "cluster.local"},
        **({} if etcd == paths.ETCD else {"etcd": {"local": {"dataDir": etcd}}}),
        "apiServer": {"certSANs": list(dict.fromkeys(names))},
        "certificateValidityPeriod": duration(plan.certificate_validity),
        "caCertificateValidityPeriod": duration(AUTHORITY_VALIDITY),
        # What kubelets get when they ask for the next certificate of their own.
        "controllerManager": {"extraArgs": [{"name": "cluster-signing-duration", "value": duration(plan.certificate_validity)}]},
    }


def duration(seconds: int) -> str:
    """Return a length of time as Go reads it, which knows no days."""
    hours, rest = divmod(seconds, 3600)
    return f"{hours}h{rest // 60}m{rest % 60}s"


def kubelet_configuration() -> Document:
    """Return what holds for every kubelet; what differs per host is in ``kubelet_patch``."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failSwapOn": False,
        "serializeImagePulls": False,
        # kubelet's own thresholds are percentages: 15 % of a 2 TB disk is 300 GB, and a host with "only" 250 GB free
        # gets a disk-pressure taint with no other sign than pods that stay Pending. These are what it really needs.
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1Gi",
            "imagefs.available": "1Gi",
            "nodefs.inodesFree": "5%",
        },
        # 100 turns the collection by percentage off, for the same reason. The thresholds above still collect.
        "imageGCHighThresholdPercent": 100,
    }


def kubelet_patch(host: HostPlan) -> str:
    """Return the patch of one host's KubeletConfiguration (kubeadm --patches, kept for joins and upgrades)."""
    patch: dict[str, Any] = {"cgroupDriver": host.cgroup_driver, "resolvConf": host.resolv_conf or NO_NAMESERVER}
    if host.cgroup_v1:
        patch["failCgroupV1"] = False  # kubelet >= 1.35 refuses otherwise; older ones do not know the field before 1.31
    return dump(patch)


def kube_proxy_configuration(plan: Plan) -> Document:
    """Return kube-proxy's configuration: one for the whole cluster, so the most restricted host decides."""
    document: dict[str, Any] = {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"}
    if any(host.conntrack_fixed for host in plan.hosts):
        # Zero means "leave it". Where nf_conntrack_max cannot be written kube-proxy dies of trying.
        document["conntrack"] = {"maxPerCore": 0, "min": 0}
    return document


def first_master(plan: Plan, host: HostPlan, grant: JoinGrant | None) -> str:
    """Return all documents for ``kubeadm init`` and its phases."""
    return dump(
        init_configuration(plan, host, grant),
        cluster_configuration(plan),
        kubelet_configuration(),
        kube_proxy_configuration(plan),
    )


def join_configuration(plan: Plan, host: HostPlan, grant: JoinGrant) -> str:
    """Return the JoinConfiguration. The CA is pinned by hash; it holds secrets."""
    document: dict[str, Any] = {
        "apiVersion": _KUBEADM,
        "kind": "JoinConfiguration",
        "discovery": {
            "bootstrapToken": {
                "apiServerEndpoint": f"{API_NAME}:{API_PORT}",
                "token": grant.token.reveal(),
                "caCertHashes": [grant.authority_hash],
            },
        },
        "nodeRegistration": node_registration(plan, host),
        "patches": {"directory": PATCHES},
        "timeouts": {"tlsBootstrap": "8m0s", "controlPlaneComponentHealthCheck": "8m0s", "kubeletHealthCheck": "8m0s"},
    }
    if host.role is Role.MASTER:
        if grant.certificate_key is None:
            raise ValueError("a master joins with a certificate key")
        document["controlPlane"] = {
            "localAPIEndpoint": _endpoint(host),
            "certificateKey": grant.certificate_key.reveal(),
        }
    return dump(document)
