"""The files that a person writes on each host for a cluster by hand. Text in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SOCKET = "unix:///run/containerd/containerd.sock"
CLUSTER = "/root/cluster"

_CONTAINERD = """\
version = 3
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "/etc/containerd/certs.d"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "PAUSE"
"""
_CONTAINERD_UNIT = """\
[Service]
Type=notify
ExecStart=/usr/local/bin/containerd
Delegate=yes
KillMode=process
Restart=always
LimitNOFILE=1048576
[Install]
WantedBy=multi-user.target
"""
_KUBELET_UNIT = """\
[Unit]
StartLimitIntervalSec=0
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=/usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS --config=/var/lib/kubelet/config.yaml $KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=2
[Install]
WantedBy=multi-user.target
"""
_REGISTRATION = (
    f'nodeRegistration: {{criSocket: "{SOCKET}", '
    'ignorePreflightErrors: [SystemVerification, Swap, "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables"]}'
)
# What the test bed's hosts need: cgroup v1 (refused by default since 1.35), conntrack limits that containers cannot set,
# and one disk that all hosts share.
_INIT = """\
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: ADDRESS}
certificateKey: "KEY"
bootstrapTokens: [{token: TOKEN}]
REGISTRATION
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: VERSION
controlPlaneEndpoint: ADDRESS:6443
networking: {podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/16}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failSwapOn: false
failCgroupV1: false
cgroupDriver: cgroupfs
serializeImagePulls: false
resolvConf: /etc/kubernetes/resolv.conf
evictionHard: {nodefs.available: 1Gi, imagefs.available: 1Gi, memory.available: 100Mi}
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
conntrack: {maxPerCore: 0, min: 0}
"""
_JOIN = """\
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
CONTROL_PLANE
discovery: {bootstrapToken: {token: TOKEN, apiServerEndpoint: "FIRST:6443", unsafeSkipCAVerification: true}}
REGISTRATION
"""


def host_files(pause: str, registries: Mapping[str, str], nameserver: str) -> dict[str, str]:
    """Return path to content. The nameserver is one that pods may have: docker's own is a loopback address."""
    hosts = {
        f"etc/containerd/certs.d/{name}/hosts.toml": f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'
        for name, url in registries.items()
    }
    return {
        "etc/containerd/config.toml": _CONTAINERD.replace("PAUSE", pause),
        "etc/systemd/system/containerd.service": _CONTAINERD_UNIT,
        "etc/systemd/system/kubelet.service": _KUBELET_UNIT,
        "etc/kubernetes/resolv.conf": f"nameserver {nameserver}\n",
        **hosts,
    }


def init_config(*, address: str, version: str, token: str, key: str) -> str:
    return _filled(_INIT, ADDRESS=address, VERSION=version, TOKEN=token, KEY=key, REGISTRATION=_REGISTRATION)


def join_config(*, first: str, token: str, master: str = "", key: str = "") -> str:
    """Return a JoinConfiguration; with the address ``master``, of another master."""
    plane = (
        f'controlPlane: {{localAPIEndpoint: {{advertiseAddress: {master}}}, certificateKey: "{key}"}}'
        if master
        else ""
    )
    return _filled(_JOIN, FIRST=first, TOKEN=token, CONTROL_PLANE=plane, REGISTRATION=_REGISTRATION)


def command_script(argv: str, environment: Mapping[str, str], path: Sequence[str]) -> str:
    """Return the shell text for one of the application's commands on the first master; values are quoted already."""
    variables = {
        "HOME": "/root",
        **environment,
        "KUBECONFIG": "/etc/kubernetes/admin.conf",
        "PATH": ":".join(path),
    }
    exports = "".join(f"export {name}={value}\n" for name, value in variables.items())
    return f"{exports}cd {CLUSTER}\nexec {argv}\n"


def _filled(text: str, **values: str) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text
