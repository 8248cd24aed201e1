"""Where kubeadm keeps certificates, and how it renews them. kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs."""

from __future__ import annotations

from typing import Final

from installer_stub.distro import paths
from installer_stub.distro.containerd import SOCKET
from installer_stub.distro.kubeadm_config import dump, duration
from installer_stub.plan.model import API_NAME, API_PORT

PKI: Final = paths.PKI
CA_CERTIFICATE: Final = paths.CA_CERTIFICATE
CA_KEY: Final = paths.CA_KEY
KUBELET_DIRECTORY: Final = paths.KUBELET_PKI
KUBELET_CLIENT: Final = f"{KUBELET_DIRECTORY}/kubelet-client-current.pem"
KUBELET_CONFIG: Final = paths.KUBELET_CONF
# Files of certificates in PEM; the kubeconfigs hold theirs as base64 behind "client-certificate-data:".
FILES: Final = (f"{PKI}/*.crt", f"{PKI}/etcd/*.crt", KUBELET_CLIENT)
KUBECONFIGS: Final = f"{paths.CONFIGURATION}/*.conf"
# Certificates of a master below PKI, and what ``kubeadm init phase certs`` calls each; and the kubeconfigs that every master has.
LEAVES: Final = {
    "apiserver": "apiserver",
    "apiserver-kubelet-client": "apiserver-kubelet-client",
    "front-proxy-client": "front-proxy-client",
    "apiserver-etcd-client": "apiserver-etcd-client",
    "etcd/server": "etcd-server",
    "etcd/peer": "etcd-peer",
    "etcd/healthcheck-client": "etcd-healthcheck-client",
}
MASTERS_CONFIGS: Final = ("admin", "controller-manager", "scheduler")
# Files of every master that has joined; ``certs renew`` makes each of them anew.
MASTERS_FILES: Final = (*(f"{PKI}/{name}.crt" for name in LEAVES), *(f"{paths.CONFIGURATION}/{name}.conf" for name in MASTERS_CONFIGS))
# What nothing makes anew: only another master or a backup has it. A CA's key may be kept elsewhere; all the rest every master needs at its next start.
AUTHORITIES: Final = tuple(f"{PKI}/{name}.crt" for name in ("ca", "front-proxy-ca", "etcd/ca"))
AUTHORITIES_KEYS: Final = tuple(f"{PKI}/{name}.key" for name in ("ca", "front-proxy-ca", "etcd/ca"))
SIGNERS: Final = (f"{PKI}/sa.key", f"{PKI}/sa.pub")  # of the tokens of service accounts
LEAVES_KEYS: Final = tuple(f"{PKI}/{name}.key" for name in LEAVES)
KEYS: Final = (*LEAVES_KEYS, *AUTHORITIES, *AUTHORITIES_KEYS, *SIGNERS)
# What reads its certificate once, at its start. etcd reads its own at every handshake.
RESTARTED: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


def renewed_by_kubeadm(path: str) -> bool:
    """Tell whether ``kubeadm certs renew all`` renews what is at ``path``; CAs it never does."""
    if path == KUBELET_CONFIG:
        return False
    return path.startswith(f"{PKI}/") or (path.startswith(f"{paths.CONFIGURATION}/") and path.endswith(".conf"))


def renewal_config(*, kubernetes: str, name: str, address: str, validity: int, services: str = "") -> str:
    """Return a configuration for ``kubeadm certs renew --config``: the cluster, which has one, may not answer any more.

    Names and addresses in certificates come from the ones that are renewed, not from here. With ``services``, the network of
    services, it is one for ``init phase certs`` too: names that the site added come with the installer's next run.
    """
    made = {"networking": {"serviceSubnet": services}, "controlPlaneEndpoint": f"{API_NAME}:{API_PORT}", "apiServer": {"certSANs": [API_NAME, "127.0.0.1"]}} if services else {}
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
            **made,
        },
    )
