"""systemd units that hosts get. None ever gives up starting: a site has nobody who would start it again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from installer_stub.plan.model import (
    BUNDLES,
    CREDENTIAL,
    OPT,
    REGISTRY_AUTHORITY,
    REGISTRY_CERTIFICATE,
    REGISTRY_KEY,
    STATE,
    STUB,
)
from installer_stub.plan.settings import REGISTRY_PORT
from installer_stub.scrub.damage import SUFFIX

CONTAINERD_UNIT: Final = "/etc/systemd/system/containerd.service"
KUBELET_UNIT: Final = "/etc/systemd/system/kubelet.service"
KUBELET_DROPIN: Final = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf"
REGISTRY_UNIT: Final = "/etc/systemd/system/airseal-registry.service"
REGISTRY_STARTED: Final = "/run/airseal-registry/started"  # the files that the running one began with, for sha256sum -c
# A login shell's PATH is not a unit's, and systemd's default has no /usr/local/bin on older releases.
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A proxy of the site gets into every service by systemd's DefaultEnvironment= or by a drop-in. It knows neither the site
# registry nor the API; kubeadm would even write it into the control plane. UnsetEnvironment= came with systemd 235, and
# RHEL 7 has 219; env(1) is everywhere, and stands behind all that systemd puts together.
_NAMES: Final = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
PROXIES: Final = (*_NAMES, *(name.upper() for name in _NAMES))
WITHOUT_PROXY: Final = "/usr/bin/env " + " ".join(f"-u {name}" for name in PROXIES)
HOST_UNIT: Final = "airseal-host.service"
KEEP_UNIT: Final = "airseal-keep.service"
KEEP_TIMER: Final = "airseal-host.timer"
SCRUB_UNIT: Final = "airseal-scrub.service"
SCRUB_TIMER: Final = "airseal-scrub.timer"
SCRUB_FILES: Final = tuple(f"/etc/systemd/system/{name}" for name in (SCRUB_UNIT, SCRUB_TIMER))
HOST_FILES: Final = tuple(f"/etc/systemd/system/{name}" for name in (HOST_UNIT, KEEP_UNIT, KEEP_TIMER))

CONTAINERD: Final = f"""\
# Made by airseal, after containerd.service of github.com/containerd/containerd.
[Unit]
Description=containerd container runtime
After=network.target local-fs.target {HOST_UNIT}
StartLimitIntervalSec=0

[Service]
Type=notify
Environment=PATH={PATH}
ExecStartPre=-/sbin/modprobe overlay
ExecStart={WITHOUT_PROXY} /usr/local/bin/containerd
# It leaves containers running, and they hold up the end of the host: only then are they ended. The question is asked in
# shell: containerd is also restarted, and starting the stub costs a third of a second. kubelet has stopped before.
ExecStopPost=-/bin/sh -c '[ "$$(systemctl is-system-running)" != stopping ] || exec {WITHOUT_PROXY} {STUB} host end-pods'
TimeoutStopSec=90
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
After=network-online.target containerd.service {HOST_UNIT}
StartLimitIntervalSec=0

[Service]
Environment=PATH={PATH}
ExecStart={WITHOUT_PROXY} /usr/local/bin/kubelet
Restart=always
RestartSec=2

[Install]
WantedBy=multi-user.target
"""

KUBELET_KUBEADM: Final = f"""\
# Made by airseal, after 10-kubeadm.conf of github.com/kubernetes/release. kubeadm writes the files named here.
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=
ExecStart={WITHOUT_PROXY} /usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS
"""

# Boot and timer are two units: a oneshot that "remains" is not started again, and one that does not has no ExecStop, by
# which the route goes when the unit goes. The "-": a boot before its network is no failed unit, the timer puts it right.
HOST: Final = f"""\
# Made by airseal.
[Unit]
Description=airseal: what this host must stay, at boot
After=local-fs.target network.target systemd-sysctl.service systemd-modules-load.service
After=cloud-init-local.service cloud-init.service cloud-init-network.service
Before=containerd.service kubelet.service
RequiresMountsFor={STATE} {OPT}

[Service]
Type=oneshot
RemainAfterExit=yes
Environment=PATH={PATH}
ExecStart=-{WITHOUT_PROXY} /bin/sh {STATE}/keep.sh --wait 30
ExecStop=-{WITHOUT_PROXY} {STUB} host release
TimeoutStartSec=180

[Install]
WantedBy=multi-user.target
"""

KEEP: Final = f"""\
# Made by airseal. Compares in shell, and starts the stub only when something differs.
[Unit]
Description=airseal: what this host must stay
After={HOST_UNIT}
RequiresMountsFor={STATE} {OPT}
StartLimitIntervalSec=0

[Service]
Type=oneshot
Environment=PATH={PATH}
ExecStart={WITHOUT_PROXY} /bin/sh {STATE}/keep.sh
TimeoutStartSec=600
SyslogLevel=notice
LogLevelMax=notice
"""

# By the clock and by what passed: neither a clock that is set nor a unit that failed stops it.
TIMER: Final = f"""\
# Made by airseal.
[Unit]
Description=airseal: what this host must stay, every minute

[Timer]
Unit={KEEP_UNIT}
OnBootSec=1min
OnCalendar=*:*:20
AccuracySec=5s

[Install]
WantedBy=timers.target
"""


# Bytes rot on disks that nobody reads (docs/adr/0026). Whatever the host has to do comes first.
SCRUB: Final = f"""\
# Made by airseal. Reads the artifacts in {BUNDLES} again; what is damaged is not served any more.
[Unit]
Description=airseal: whether the images on this disk are still what was copied here
RequiresMountsFor={STATE} {OPT}

[Service]
Type=oneshot
Environment=PATH={PATH}
ExecStart={WITHOUT_PROXY} {STUB} host scrub
Nice=19
IOSchedulingClass=idle
TimeoutStartSec=86400
"""

# In the night, and not on all masters in the same hour (systemd 219 knows no delay); and half a day after it was started, for
# masters that are off at night. Not by Persistent=: that leaves a file of systemd's own behind.
SCRUB_CLOCK: Final = f"""\
# Made by airseal.
[Unit]
Description=airseal: read the images on this disk again, every week

[Timer]
Unit={SCRUB_UNIT}
OnCalendar=Sun *-*-* 01:00:00
OnActiveSec=12h
RandomizedDelaySec=4h

[Install]
WantedBy=timers.target
"""


_PREPARE: Final = (
    f"rm -rf {OPT}/registry {OPT}/scrub; "  # where older stubs unpacked themselves
    "umask 077; "
    f"sha256sum {REGISTRY_CERTIFICATE} {REGISTRY_KEY} {CREDENTIAL} > {REGISTRY_STARTED}; "
    # And what it knew of damage: once that is mended, it is another registry that is wanted.
    f'find {BUNDLES} -name "*{SUFFIX}" -exec sha256sum {{}} + >> {REGISTRY_STARTED} || :'
)
# In a range that neither systemd (its UIDS-GIDS page) nor any distribution gives to anybody.
REGISTRY_UID: Final = 60713


def registry(*, serves: str, port: int = REGISTRY_PORT, hidden: Sequence[str] = ()) -> str:
    """Return the site registry's unit. ``serves`` names stub and bundle: another one is another text, hence a restart.

    ``hidden`` are further directories that it shall not see.

    It begins as root, without any of root's powers but changing to another user, opens the files that root alone can
    read, and serves as a user that owns nothing. Not by User= and LoadCredential=: systemd knows those for a user that
    does not exist since 235 and 247, and RHEL 7 and 8 have 219 and 239. Such old ones pass over settings they do not know.

    The stub is one process, also while it starts: the program that says READY is the unit's own.
    """
    unseen = " ".join(f"-{path}" for path in ("/etc/kubernetes", "/var/lib/etcd", "/var/lib/kubelet", REGISTRY_AUTHORITY, *hidden))
    return f"""\
# Made by airseal. Serves {serves}
[Unit]
Description=airseal site registry: the images of this cluster
After=network.target local-fs.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
Environment=PATH={PATH}
RuntimeDirectory=airseal-registry
ExecStartPre=/bin/sh -ec '{_PREPARE}'
ExecStart={STUB} serve --store {BUNDLES} --listen 0.0.0.0:{port} --tls-cert {REGISTRY_CERTIFICATE} --tls-key {REGISTRY_KEY} --credential {CREDENTIAL} --become {REGISTRY_UID}
Restart=always
RestartSec=2
LimitNOFILE=65536
CapabilityBoundingSet=CAP_SETUID CAP_SETGID
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=full
ProtectHome=yes
# The first name is for systemd before 231.
InaccessibleDirectories={unseen}
InaccessiblePaths={unseen}
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""
