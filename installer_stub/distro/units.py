"""systemd units that hosts get. None ever gives up starting: a site has nobody who would start it again."""

from __future__ import annotations

from typing import Final

from installer_stub.plan import REGISTRY_PORT, STATE, STUB

CONTAINERD_UNIT: Final = "/etc/systemd/system/containerd.service"
KUBELET_UNIT: Final = "/etc/systemd/system/kubelet.service"
KUBELET_DROPIN: Final = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf"
REGISTRY_UNIT: Final = "/etc/systemd/system/airseal-registry.service"
# A login shell's PATH is not a unit's, and systemd's default has no /usr/local/bin on older releases.
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

CONTAINERD: Final = f"""\
# Made by airseal, after containerd.service of github.com/containerd/containerd.
[Unit]
Description=containerd container runtime
After=network.target local-fs.target
StartLimitIntervalSec=0

[Service]
Type=notify
Environment=PATH={PATH}
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/containerd
Delegate=yes
KillMode=process
Restart=always
RestartSec=5
LimitNOFILE=1048576
TasksMax=infinity

[Install]
WantedBy=multi-user.target
"""

KUBELET: Final = f"""\
# Made by airseal, after kubelet.service of github.com/kubernetes/release.
[Unit]
Description=kubelet, the Kubernetes node agent
Wants=network-online.target
After=network-online.target containerd.service
StartLimitIntervalSec=0

[Service]
Environment=PATH={PATH}
ExecStart=/usr/local/bin/kubelet
Restart=always
RestartSec=2

[Install]
WantedBy=multi-user.target
"""

KUBELET_KUBEADM: Final = """\
# Made by airseal, after 10-kubeadm.conf of github.com/kubernetes/release. kubeadm writes the files named here.
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=
ExecStart=/usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS
"""


def registry(*, certificate: str, key: str, credential: str, serves: str) -> str:
    """Return the site registry's unit. ``serves`` names stub and bundle: another one is another text, hence a restart.

    Units are there for everybody to read, so it names the files of key and login. Not by LoadCredential=: systemd has that
    since 247, and RHEL 7 and 8 have 219 and 239.

    NotifyAccess=all because the program that says READY is a child of the frozen stub's bootloader.
    """
    return f"""\
# Made by airseal. Serves {serves}
[Unit]
Description=airseal site registry: the images of this cluster
After=network.target local-fs.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=all
Environment=PATH={PATH}
ExecStart={STUB} serve --store {STATE}/bundles --listen 0.0.0.0:{REGISTRY_PORT} --tls-cert {certificate} --tls-key {key} --credential {credential}
Restart=always
RestartSec=2
NoNewPrivileges=yes
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
"""
