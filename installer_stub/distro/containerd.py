"""containerd's configuration: what it runs with, and where every image comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from installer_stub.host.command import Secret
from installer_stub.plan import HostPlan

CONFIG: Final = "/etc/containerd/config.toml"
REGISTRIES: Final = "/etc/containerd/certs.d"
# "_default" answers for every registry that has no directory of its own: docs/hosts.md of containerd.
HOSTS: Final = f"{REGISTRIES}/_default/hosts.toml"
SOCKET: Final = "/run/containerd/containerd.sock"


def config_toml(host: HostPlan, *, pause: str) -> str:
    """Return config.toml (version 3, containerd 2.x)."""
    lines = [
        "# Made by airseal.",
        "version = 3",
        "",
        "[plugins.'io.containerd.cri.v1.images'.registry]",
        f"  config_path = '{REGISTRIES}'",
        "[plugins.'io.containerd.cri.v1.images'.pinned_images]",
        f"  sandbox = '{pause}'",
        "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]",
        "  runtime_type = 'io.containerd.runc.v2'",
        "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]",
        f"  SystemdCgroup = {str(host.cgroup_driver == 'systemd').lower()}",
    ]
    if host.restrict_oom_score:
        lines += [
            "# This host lacks CAP_SYS_RESOURCE: runc may not lower oom_score_adj below its parent's.",
            "[plugins.'io.containerd.cri.v1.runtime']",
            "  restrict_oom_score_adj = true",
        ]
    return "\n".join(lines) + "\n"


def rotated(endpoints: Sequence[str], by: int) -> tuple[str, ...]:
    """Return the endpoints beginning with another one for each ``by``, so that hosts spread over the masters."""
    start = by % len(endpoints) if endpoints else 0
    return (*endpoints[start:], *endpoints[:start])


def hosts_toml(endpoints: Sequence[str], *, ca_path: str, authorization: Secret | None = None) -> str:
    """Return the hosts.toml for all registries: these endpoints in this order, and nothing behind them.

    ``authorization`` is the value of the header that every request carries; with it, the text is a secret too. containerd
    sends it before it is asked for it, so a login costs no request (``header`` is a string or a list since containerd 1.5).
    Credentials of a pod's imagePullSecrets do not replace it: containerd uses those only to answer a 401.

    ``server`` is what containerd asks last, and by default that is the registry an image names: the internet. So it
    names an endpoint of ours again. A file that has only ``server`` is ignored by containerd before 1.7.32.
    """
    # On cleartext endpoints "ca" would make containerd try https first.
    ca = f"ca = '{ca_path}'" if ca_path and endpoints[0].startswith("https://") else ""
    header = f"header = {{ Authorization = '{authorization.reveal()}' }}" if authorization is not None else ""
    settings = ["capabilities = ['pull', 'resolve']", *filter(None, (ca, header))]
    lines = ["# Made by airseal: every image comes from here, none from anywhere else.", f"server = '{endpoints[0]}'", *settings]
    for endpoint in endpoints:
        lines += ["", f"[host.'{endpoint}']", *(f"  {setting}" for setting in settings)]
    return "\n".join(lines) + "\n"
