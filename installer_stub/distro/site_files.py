"""What a site adds to a host's configuration: its Clusterfile's env and patches, as files beside ours, never inside them.

kubeadm takes patches in the order of their names, so ``…-site`` comes after our own ``…+``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from installer_stub.distro.base import HostFile
from installer_stub.distro.containerd import SITE_DROPIN
from installer_stub.distro.kubeadm_config import PATCHES
from installer_stub.host.model import Role
from installer_stub.plan.model import HostPlan, Plan
from installer_stub.plan.settings import CONTAINERD, KUBELET, STATIC_PODS

_DROPIN: Final = "/etc/systemd/system/{}.service.d/50-airseal-env.conf"
CONTAINERD_ENV: Final = _DROPIN.format("containerd")
KUBELET_ENV: Final = _DROPIN.format("kubelet")
# Those that come and go with the Clusterfile; patches of kubeadm stay for the life of the cluster.
PASSING: Final = (SITE_DROPIN, CONTAINERD_ENV, KUBELET_ENV)


def site_files(plan: Plan, host: HostPlan) -> tuple[HostFile, ...]:
    """Return the files that the site wants on ``host``."""
    settings = plan.settings
    files: list[HostFile] = []
    if text := settings.patch(CONTAINERD):
        files.append(HostFile(SITE_DROPIN, f"# Made by airseal from the site's Clusterfile.\n{json.loads(text)}"))
    if host.env:
        files += [HostFile(path, _environment(host.env)) for path in (CONTAINERD_ENV, KUBELET_ENV)]
    if text := settings.patch(KUBELET):
        files.append(HostFile(f"{PATCHES}/kubeletconfiguration-site+merge.json", f"{text}\n"))
    for name in STATIC_PODS if host.role is Role.MASTER else ():
        if text := settings.patch(name):
            # A list is JSON Patch (RFC 6902), an object a strategic merge patch.
            kind = "json" if isinstance(json.loads(text), list) else "strategic"
            files.append(HostFile(f"{PATCHES}/{name}-site+{kind}.json", f"{text}\n"))
    return tuple(files)


def _environment(env: Sequence[tuple[str, str]]) -> str:
    """Return a systemd drop-in: systemd.exec(5), with its escapes and its specifiers."""
    lines = [f'Environment="{name}={_escaped(value)}"\n' for name, value in env]
    return "# Made by airseal from the site's Clusterfile.\n[Service]\n" + "".join(lines)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
