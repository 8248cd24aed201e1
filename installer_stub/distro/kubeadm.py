"""kubeadm as a Distro: its files and the scripts that run it. Configuration is in ``kubeadm_config``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from installer_stub.distro import containerd, kubeadm_config, paths, units
from installer_stub.distro.base import Distro, HostFile, JoinGrant
from installer_stub.distro.datastore import ETCD, Datastore
from installer_stub.distro.site_files import site_files
from installer_stub.host.command import Command, Secret
from installer_stub.host.model import Role
from installer_stub.membership.evidence import Traces
from installer_stub.plan.model import HostPlan, Plan
from installer_stub.plan.settings import AS_USUAL, SiteSettings

if TYPE_CHECKING:
    from cryptography import x509

# kubeadm copies the proxies of its environment into the control plane's manifests, which then asks them for everything.
_PATH = f"export PATH={units.PATH}; unset {' '.join(units.PROXIES)}\n"

# remove-etcd-member asks a live cluster to let this member go. What is half made, or goes with its cluster, would only wait
# for an etcd that does not answer; whose cluster lives on is taken out of it by the others.
_LEAVE: Final = f"""\
systemctl stop kubelet 2>/dev/null || true
if [ -n "$(ls -A {paths.CONFIGURATION} 2>/dev/null)" ] || [ -e {paths.KUBELET_CONFIG} ] || [ -d "$ETCD_DATA/member" ]; then
  if command -v kubeadm >/dev/null; then
    kubeadm reset --force --cri-socket unix://{containerd.SOCKET} --skip-phases=remove-etcd-member || true
  fi
  rm -rf {paths.CONFIGURATION} {paths.KUBELET_CONFIG} {paths.KUBELET_FLAGS} {paths.KUBELET_PKI}
  rm -rf "$ETCD_DATA/member"
fi
"""


class Kubeadm:
    """Kubernetes as kubeadm sets it up, on containerd."""

    kubeconfig: str = paths.ADMIN_CONF
    authority: str = paths.CA_CERTIFICATE
    services: tuple[str, ...] = ("containerd.service", "kubelet.service")
    data_directories: tuple[str, ...] = (
        paths.CONFIGURATION,
        "/etc/containerd",
        "/etc/cni",
        "/opt/cni",
        "/opt/containerd",
        "/var/lib/containerd",
        paths.KUBELET,
        paths.ETCD,
        "/var/lib/cni",
        "/var/log/pods",
        "/var/log/containers",
        "/usr/libexec/kubernetes",
        "/etc/systemd/system/kubelet.service.d",
    )

    # What must hold nothing of others before a cluster begins there, and whether it has to be empty altogether.
    own_directories: tuple[tuple[str, bool], ...] = (
        (paths.CONFIGURATION, False),
        (paths.ETCD, True),
        (paths.KUBELET, False),
        ("/etc/cni/net.d", False),
    )
    # A pki directory alone is none: certificates are made before a cluster is, also by others.
    traces: Traces = Traces(
        authority=authority,
        files=(paths.KUBELET_CONF, paths.ADMIN_CONF, paths.KUBELET_CONFIG),
        directories=(paths.MANIFESTS, f"{paths.ETCD}/member"),
    )
    datastore: Datastore = ETCD
    flush_script: str = f"sync -f {paths.CONFIGURATION} 2>/dev/null || true\n"

    def pause_image(self, plan: Plan) -> Command:
        """Ask the shipped kubeadm itself, which knows no other source than its own table."""
        script = _PATH + (
            'images=$(kubeadm config images list --kubernetes-version "$1")\n'
            'for image in $images; do case $image in */pause:*) printf "%s\\n" "$image";; esac; done'
        )
        return Command.shell(script, plan.bundle.kubernetes)

    def host_files(self, plan: Plan, host: HostPlan, *, pause: str, authorization: Secret | None = None) -> tuple[HostFile, ...]:
        """Return containerd's and kubelet's files. A cluster image's own templates would come in here."""
        endpoints = containerd.rotated(plan.images.endpoints, plan.position(host))
        files = [
            HostFile(containerd.CONFIG, containerd.config_toml(host, pause=pause, root=plan.settings.directory("containerd", containerd.IMAGES))),
            HostFile(
                containerd.HOSTS,
                containerd.hosts_toml(endpoints, ca_path=plan.images.ca_path, authorization=authorization),
                mode=0o644 if authorization is None else 0o600,
            ),
            HostFile(units.CONTAINERD_UNIT, units.CONTAINERD),
            HostFile(units.KUBELET_UNIT, units.KUBELET),
            HostFile(units.KUBELET_DROPIN, units.KUBELET_KUBEADM),
            HostFile(kubeadm_config.KUBELET_PATCH, kubeadm_config.kubelet_patch(host)),
        ]
        if host.resolv_conf is None:
            files.append(HostFile(kubeadm_config.NO_NAMESERVER, "# This site has no nameserver.\n"))
        return (*files, *site_files(plan, host))

    def first_master_config(self, plan: Plan, host: HostPlan, grant: JoinGrant | None = None) -> str:
        """Return the documents for ``kubeadm init``."""
        return kubeadm_config.first_master(plan, host, grant)

    def join_config(self, plan: Plan, host: HostPlan, grant: JoinGrant) -> str:
        """Return the JoinConfiguration."""
        return kubeadm_config.join_configuration(plan, host, grant)

    def pull_script(self, plan: Plan, host: HostPlan, others: Mapping[str, Sequence[str]]) -> str:
        """Have kubeadm pull on a master what its preflight would pull later, while others wait for their turn; a node wants none of that."""
        own = f"kubeadm config images pull --kubernetes-version {plan.bundle.kubernetes} --cri-socket unix://{containerd.SOCKET}\n"
        return f"{_PATH}{own if host.role is Role.MASTER else ''}{containerd.pull_script(others)}"

    def start_script(self, config: str) -> str:
        """Return the script around ``kubeadm init``."""
        return f"{_PATH}kubeadm init --config {config} --skip-token-print\n"

    def grant_script(self, config: str, *, masters: bool) -> str:
        """Both commands print the secret they were given: to nobody."""
        script = f"{_PATH}kubeadm token create --config {config} >/dev/null\n"
        if masters:
            script += f"kubeadm init phase upload-certs --upload-certs --config {config} >/dev/null\n"
        return script

    def authority_hash(self, certificate: bytes) -> str:
        """SHA-256 of the public key's DER: kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-join.

        Computed here: kubeadm's own command for it fails where no default route tells it an address.
        """
        from cryptography import x509

        return _key_hash(x509.load_pem_x509_certificate(certificate))

    def authority_keys(self, certificates: bytes) -> frozenset[str]:
        """As ``authority_hash``, of every certificate in the file: while a CA is changed there are two."""
        from cryptography import x509

        try:
            return frozenset(map(_key_hash, x509.load_pem_x509_certificates(certificates)))
        except ValueError:
            return frozenset()

    def join_script(self, config: str) -> str:
        """Return the script around ``kubeadm join``.

        kubelet watches the directory of static pods if it is there when it starts; one that comes later it finds at its next tick of 20 s
        (pkg/kubelet/config/file_linux.go), and a node's balancer that much later.
        """
        return f"{_PATH}mkdir -p -m 0700 {paths.MANIFESTS}\nkubeadm join --config {config}\n"

    def leave_script(self, settings: SiteSettings = AS_USUAL) -> str:
        """Return the script around ``kubeadm reset``, and for what it leaves behind."""
        return f"{_PATH}ETCD_DATA={settings.directory('etcd', paths.ETCD)}\n{_LEAVE}"


def _key_hash(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(key).hexdigest()}"


KUBEADM: Final[Distro] = Kubeadm()
