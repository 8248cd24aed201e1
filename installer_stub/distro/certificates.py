"""Where kubeadm keeps certificates, and how it renews them. kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs."""

from __future__ import annotations

from typing import Final

from installer_stub.distro.containerd import SOCKET
from installer_stub.distro.kubeadm_config import dump, duration
from installer_stub.plan.model import API_PORT

PKI: Final = "/etc/kubernetes/pki"
CA_CERTIFICATE: Final = f"{PKI}/ca.crt"
CA_KEY: Final = f"{PKI}/ca.key"
KUBELET_DIRECTORY: Final = "/var/lib/kubelet/pki"
KUBELET_CLIENT: Final = f"{KUBELET_DIRECTORY}/kubelet-client-current.pem"
KUBELET_CONFIG: Final = "/etc/kubernetes/kubelet.conf"
# Files of certificates in PEM; the kubeconfigs hold theirs as base64 behind "client-certificate-data:".
FILES: Final = (f"{PKI}/*.crt", f"{PKI}/etcd/*.crt", KUBELET_CLIENT)
KUBECONFIGS: Final = "/etc/kubernetes/*.conf"
# What reads its certificate once, at its start. etcd reads its own at every handshake.
RESTARTED: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


def renewed_by_kubeadm(path: str) -> bool:
    """Tell whether ``kubeadm certs renew all`` renews what is at ``path``; CAs it never does."""
    if path == KUBELET_CONFIG:
        return False
    return path.startswith(f"{PKI}/") or (path.startswith("/etc/kubernetes/") and path.endswith(".conf"))


def renewal_config(*, kubernetes: str, name: str, address: str, validity: int) -> str:
    """Return a configuration for ``kubeadm certs renew --config``: the cluster, which has one, may not answer any more.

    Names and addresses in certificates come from the ones that are renewed, not from here.
    """
    return dump(
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": address, "bindPort": API_PORT},
            "nodeRegistration": {"name": name, "criSocket": f"unix://{SOCKET}"},
        },
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "kubernetesVersion": kubernetes,
            "certificateValidityPeriod": duration(validity),
        },
    )
