"""Where kubeadm keeps what, and what it calls its own objects: said here and nowhere else. No import: every room may ask.

kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details.
"""

from __future__ import annotations

from typing import Final

CONFIGURATION: Final = "/etc/kubernetes"
MANIFESTS: Final = f"{CONFIGURATION}/manifests"
ADMIN_CONF: Final = f"{CONFIGURATION}/admin.conf"
SUPER_ADMIN_CONF: Final = f"{CONFIGURATION}/super-admin.conf"
KUBELET_CONF: Final = f"{CONFIGURATION}/kubelet.conf"
PKI: Final = f"{CONFIGURATION}/pki"
CA_CERTIFICATE: Final = f"{PKI}/ca.crt"
CA_KEY: Final = f"{PKI}/ca.key"
API_CERTIFICATE: Final = f"{PKI}/apiserver.crt"
API_KEY: Final = f"{PKI}/apiserver.key"
ETCD_PKI: Final = f"{PKI}/etcd"
KUBELET: Final = "/var/lib/kubelet"
KUBELET_CONFIG: Final = f"{KUBELET}/config.yaml"
KUBELET_FLAGS: Final = f"{KUBELET}/kubeadm-flags.env"
KUBELET_PKI: Final = f"{KUBELET}/pki"
ETCD: Final = "/var/lib/etcd"
KERNEL_MODULES: Final = "/lib/modules"  # kube-proxy mounts it; where a host has none, the runtime makes it
PROGRAM: Final = "/usr/local/bin/kubeadm"
BUNDLED: Final = "bin/kubeadm"  # below /cluster: what makes a cluster image one of this distribution
CONFIG_MAP: Final = "kubeadm-config"  # in kube-system
KUBELET_CONFIG_MAP: Final = "kubelet-config"
CERTIFICATES: Final = "kubeadm-certs"  # a Secret in kube-system, while masters join
# The description of the token that owns it and ends after two hours (kubeadm/app/phases/copycerts, createShortLivedBootstrapToken).
CERTIFICATES_OWNER: Final = "Proxy for managing TTL for the kubeadm-certs secret"
